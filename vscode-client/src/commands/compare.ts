// Compare With...: two traces side by side, as a page.

import type { App, CommandTable } from "../app";
import { comparisonReport, type Compared } from "../comparison";
import type { TraceRow } from "../protocol";
import { onOneLine } from "../views/tree_groups";
import { pickTrace, traceRows } from "./trace_argument";

export function compareCommands(app: App): CommandTable {
  return {
    "nanoscope.compareWith": async (first, selected) => {
      const [one, second] = await traceRows(app, first, selected);
      if (one === undefined) {
        return;
      }
      const title = `Compare “${onOneLine(one.prompt)}” with`;
      const other = second ?? (await pickTrace(app, title, one.trace_id));
      if (other !== undefined) {
        const ids = { trace_id: one.trace_id, other_id: other.trace_id };
        const [a, b, result] = await Promise.all([
          read(app, one),
          read(app, other),
          app.daemon.request("compare_traces", ids),
        ]);
        await app.reports.show("Two traces", comparisonReport(a, b, result));
      }
    },
  };
}

async function read(app: App, { trace_id }: TraceRow): Promise<Compared> {
  const { tokens, ...summary } = await app.daemon.request("get_document", { trace_id });
  return { summary, tokens };
}
