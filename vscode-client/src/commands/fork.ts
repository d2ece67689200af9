// Fork: another token, or a text, in a trace's text, and on from there; the two side by side.

import { window } from "vscode";
import type { App, CommandTable } from "../app";
import type { OpenTrace } from "../open_trace";
import { FORK } from "../shared/messages";
import { noForkWords } from "../shared/fork_places";
import { onOneLine } from "../views/tree_groups";
import { compareWithRun } from "./child_run";

const PLAIN = /^[^\p{C}]+$/u;

export function forkCommands(app: App): CommandTable {
  return {
    /** Without arguments: at the chosen token of the trace in front. Without a token: a text that is typed. */
    [FORK]: async (given?, at?, token?) => {
      const { trace, selection } = app.store;
      const { data, source } = (given as OpenTrace | undefined) ?? trace;
      const position = given === undefined ? selection.token : (at as number | null);
      if (data === undefined) {
        void window.showInformationMessage("Open a trace, and choose a token in its text.");
        return;
      }
      const { summary, tokens } = data;
      const refused = noForkWords(summary, position);
      if (position === null || refused !== null) {
        void window.showInformationMessage(refused ?? "");
        return;
      }
      const put = typeof token === "number" ? { token } : await typed(tokens[position]?.text ?? "", position);
      if (put !== undefined) {
        const title = `Going on from position ${position} of “${onOneLine(summary.prompt)}”`;
        const params = { trace_id: summary.trace_id, position, ...put };
        await compareWithRun(app, source, summary, "fork_trace", params, title);
      }
    },
  };
}

async function typed(before: string, position: number): Promise<{ text: string } | undefined> {
  const text = await window.showInputBox({
    title: `Fork at Position ${position}`,
    prompt: "What stands there instead, the space before a word included; what follows is written anew",
    value: PLAIN.test(before) ? before : "",
    ignoreFocusOut: true,
    validateInput: (value) => (value === "" ? "Type at least one character." : undefined),
  });
  return text === undefined ? undefined : { text };
}
