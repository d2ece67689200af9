// The list of traces after a change, without listing all of them anew.

import type { TraceRow, TracesChanged } from "./protocol";

/**
 * The rows after a change, newest first as before.
 *
 * @param rows before it
 * @param page the first rows after it, as many as were asked for
 * @returns undefined where the page does not have all that came or changed: an older trace was copied in, say
 */
export function afterChange(
  rows: readonly TraceRow[],
  page: readonly TraceRow[],
  { added = [], changed = [], removed = [] }: Omit<TracesChanged, "traces_dir">,
): TraceRow[] | undefined {
  const listed = new Set(page.map(({ trace_id }) => trace_id));
  if (![...added, ...changed].every((id) => listed.has(id))) {
    return undefined;
  }
  const gone = new Set(removed);
  return [...page, ...rows.filter(({ trace_id }) => !listed.has(trace_id) && !gone.has(trace_id))];
}
