// Traces under those that they were forked from.

import type { TraceRow } from "../protocol";

export interface Family {
  row: TraceRow;
  children: readonly Family[];
}

const DEPTH = 12; // generations below each other; later ones stand beside their parents

/** The rows without a parent among them, with their descendants, in the rows' order. A circle is cut where it is met. */
export function families(rows: readonly TraceRow[]): Family[] {
  const parents = parentsOf(rows);
  const made = new Map<string, { family: Family; children: Family[] }>();
  for (const row of rows) {
    const children: Family[] = [];
    made.set(row.trace_id, { family: { row, children }, children });
  }
  const roots: Family[] = [];
  for (const { trace_id } of rows) {
    const own = made.get(trace_id);
    const parent = made.get(parents.get(trace_id) ?? "");
    if (own !== undefined) {
      (parent?.children ?? roots).push(own.family);
    }
  }
  return roots;
}

/** A family's rows, the first before its descendants. */
export function members(family: Family): TraceRow[] {
  return [family.row, ...family.children.flatMap(members)];
}

/** Under which row each one stands; none has more than DEPTH above it, and none is above itself. */
function parentsOf(rows: readonly TraceRow[]): Map<string, string> {
  const told = new Map(rows.map(({ trace_id, parent }) => [trace_id, parent ?? null]));
  const depths = new Map<string, number>();
  const parents = new Map<string, string>();
  for (const { trace_id } of rows) {
    const path: string[] = [];
    const onPath = new Set<string>();
    let at: string | null = trace_id;
    while (at !== null && told.has(at) && !depths.has(at) && !onPath.has(at)) {
      path.push(at);
      onPath.add(at);
      at = told.get(at) ?? null;
    }
    let above = at !== null && depths.has(at) ? at : undefined;
    for (const id of path.reverse()) {
      const beside = above !== undefined && depths.get(above) === DEPTH ? parents.get(above) : above;
      if (beside !== undefined) {
        parents.set(id, beside);
      }
      depths.set(id, beside === undefined ? 0 : (depths.get(beside) ?? 0) + 1);
      above = id;
    }
  }
  return parents;
}
