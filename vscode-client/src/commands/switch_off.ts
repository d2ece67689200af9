// Switch off: a trace once more without some of its heads or MLPs, and the two side by side.

import type { App, CommandTable } from "../app";
import type { OpenTrace } from "../open_trace";
import type { Intervention } from "../protocol";
import { SWITCH_OFF } from "../shared/messages";
import { onOneLine } from "../views/tree_groups";
import { compareWithRun } from "./child_run";

export function switchOffCommands(app: App): CommandTable {
  return {
    [SWITCH_OFF]: async (open, interventions) => {
      const { data, source } = open as OpenTrace;
      if (data === undefined) {
        return;
      }
      const { trace_id, prompt } = data.summary;
      const title = `Running “${onOneLine(prompt)}” with what is switched off`;
      const params = { trace_id, interventions: interventions as Intervention[] };
      await compareWithRun(app, source, data.summary, "intervene", params, title);
    },
  };
}
