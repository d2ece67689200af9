// Switch off: a trace once more without some of its heads or MLPs, and the two side by side.

import path from "node:path";
import { commands, ProgressLocation, window } from "vscode";
import type { App, CommandTable } from "../app";
import { comparedTitle } from "../comparison_title";
import type { OpenTrace } from "../open_trace";
import { isCancelled, problemOf } from "../problems";
import type { InterveneResult, Intervention } from "../protocol";
import { SWITCH_OFF } from "../shared/messages";
import { onOneLine } from "../views/tree_groups";
import { COMPARE_TRACES } from "./compare";
import { streamed } from "./streamed";

const ANYWAY = "Run on This Model Anyway";

export function switchOffCommands(app: App): CommandTable {
  return {
    [SWITCH_OFF]: async (open, interventions) => {
      const { data, source } = open as OpenTrace;
      if (data === undefined) {
        return;
      }
      const { trace_id, prompt } = data.summary;
      const child = await run(app, source, trace_id, prompt, interventions as Intervention[]);
      if (child !== undefined) {
        const folder = path.dirname(child.path);
        const title = comparedTitle(prompt, child.prompt);
        await commands.executeCommand(
          COMPARE_TRACES,
          { folder, traceId: trace_id },
          { folder, traceId: child.trace_id },
          title,
        );
      }
    },
  };
}

/** `anyway`: on another model than the one that wrote the trace. Undefined where that was not wanted. */
async function run(
  app: App,
  source: OpenTrace["source"],
  traceId: string,
  prompt: string,
  interventions: Intervention[],
  anyway = false,
): Promise<InterveneResult | undefined> {
  const options = {
    location: ProgressLocation.Notification,
    title: `Running “${onOneLine(prompt)}” with what is switched off`,
    cancellable: true,
  };
  try {
    return await window.withProgress(options, (progress, token) =>
      streamed(app, "intervene", { trace_id: traceId, interventions, anyway }, progress, token, source),
    );
  } catch (error) {
    const problem = problemOf(error);
    if (isCancelled(error) || problem.name !== "OTHER_MODEL" || anyway) {
      throw error;
    }
    const chosen = await window.showWarningMessage(problem.message, ANYWAY);
    return chosen === ANYWAY ? run(app, source, traceId, prompt, interventions, true) : undefined;
  }
}
