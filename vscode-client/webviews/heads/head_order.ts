// In which rows the overview shows heads: a row a layer, or by a metric, the largest first.

import type { TraceData } from "../../src/shared/messages";
import { rankedHeads } from "../common/statistics";
import { movedHead } from "../matrix/moves";
import type { HeadPlace } from "./trace_heads";

export const BY_LAYER = "layer";

export interface HeadRow {
  /** The layer, or the rank of the row's first head. */
  name: string;
  heads: readonly HeadPlace[];
}

/** Heads that have no such number come last, in the order of the layers. */
export function headRows(trace: TraceData, order: string): HeadRow[] {
  const byLayer = trace.layers.map((layer) => ({
    name: String(layer),
    heads: Array.from({ length: trace.heads }, (_, head) => ({ layer, head })),
  }));
  if (order === BY_LAYER) {
    return byLayer;
  }
  const all = byLayer.flatMap(({ heads }) => heads);
  const there = new Set(all.map(placeKey));
  const ranked = rankedHeads(trace.analysis, order).filter((place) => there.has(placeKey(place)));
  const known = new Set(ranked.map(placeKey));
  const sorted = [
    ...ranked.map(({ layer, head }) => ({ layer, head })),
    ...all.filter((one) => !known.has(placeKey(one))),
  ];
  return Array.from({ length: Math.ceil(sorted.length / Math.max(1, trace.heads)) }, (_, row) => ({
    name: `#${row * trace.heads + 1}`,
    heads: sorted.slice(row * trace.heads, (row + 1) * trace.heads),
  }));
}

/** Where an arrow key leads from a head, as the rows stand. */
export function headMoved(key: string, rows: readonly HeadRow[], place: HeadPlace): HeadPlace | null {
  const row = rows.findIndex(({ heads }) => heads.some((one) => placeKey(one) === placeKey(place)));
  const column = rows[row]?.heads.findIndex((one) => placeKey(one) === placeKey(place)) ?? 0;
  const indices = rows.map((_, index) => index);
  const next = movedHead(key, { layer: row, head: column }, indices, rows[0]?.heads.length ?? 0);
  return next === null ? null : (rows[next.layer]?.heads[next.head] ?? rows[next.layer]?.heads.at(-1) ?? null);
}

export function placeKey({ layer, head }: HeadPlace): string {
  return `${layer}.${head}`;
}
