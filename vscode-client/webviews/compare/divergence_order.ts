// The heads that two traces have in common, in the order of layers or of how much they differ, and where keys lead there.

import type { TraceData } from "../../src/shared/messages";
import type { HeadPlace } from "../heads/trace_heads";

const WEIGHTS = /^attention_weights\.layer_(\d+)$/;

export type Order = "layer" | "divergence";

/** By layer that both have captured: how many heads both have of it. */
export function commonHeads(a: TraceData, b: TraceData): Map<number, number> {
  const theirs = headCounts(b);
  const common = [...headCounts(a)].flatMap(([layer, heads]) => {
    const other = theirs.get(layer);
    return other === undefined ? [] : [[layer, Math.min(heads, other)] as const];
  });
  return new Map(common.sort(([one], [other]) => one - other));
}

export function headCounts({ summary }: Pick<TraceData, "summary">): Map<number, number> {
  const counts = Object.entries(summary.data_info.tensors).flatMap(([name, { shape }]) => {
    const layer = WEIGHTS.exec(name)?.[1];
    return layer === undefined ? [] : [[Number(layer), shape?.at(-3) ?? 0] as const];
  });
  return new Map(counts);
}

export type Divergences = ReadonlyMap<number, readonly (number | null)[]>;

export function divergenceOf(divergences: Divergences, { layer, head }: HeadPlace): number | null {
  return divergences.get(layer)?.[head] ?? null;
}

/** The heads in rows: a row a layer, or so many to a row, the most different first and the unknown last. */
export function headRows(common: ReadonlyMap<number, number>, divergences: Divergences, order: Order): HeadPlace[][] {
  const rows = [...common].map(([layer, heads]) => Array.from({ length: heads }, (_, head) => ({ layer, head })));
  if (order === "layer") {
    return rows;
  }
  const value = (place: HeadPlace): number => divergenceOf(divergences, place) ?? -1;
  const sorted = rows.flat().sort((one, other) => value(other) - value(one));
  const width = Math.max(1, ...rows.map((row) => row.length));
  return Array.from({ length: Math.ceil(sorted.length / width) }, (_, row) =>
    sorted.slice(row * width, (row + 1) * width),
  );
}

type Move = (row: number, column: number, rows: readonly HeadPlace[][]) => [number, number];

const MOVES: Record<string, Move> = {
  ArrowUp: (row, column) => [row - 1, column],
  ArrowDown: (row, column) => [row + 1, column],
  ArrowLeft: (row, column) => [row, column - 1],
  ArrowRight: (row, column) => [row, column + 1],
  Home: (row) => [row, 0],
  End: (row) => [row, Infinity],
  "Mod+Home": () => [0, 0],
  "Mod+End": (_row, _column, rows) => [rows.length - 1, Infinity],
  // from anywhere in the page: the next head, the next layer; with Shift back
  h: (row, column, rows) => (column + 1 < (rows[row]?.length ?? 0) ? [row, column + 1] : [row + 1, 0]),
  H: (row, column) => (column > 0 ? [row, column - 1] : [row - 1, Infinity]),
  l: (row, column) => [row + 1, column],
  L: (row, column) => [row - 1, column],
};

/** Null: the key leads nowhere. */
export function movedHead(key: string, place: HeadPlace, rows: readonly HeadPlace[][]): HeadPlace | null {
  const move = MOVES[key];
  const row = rows.findIndex((one) => one.some((other) => isSame(place, other)));
  if (move === undefined || row === -1) {
    return null;
  }
  const column = rows[row]?.findIndex((other) => isSame(place, other)) ?? 0;
  const [toRow, toColumn] = move(row, column, rows);
  const line = rows[toRow];
  return line === undefined ? null : (line[Math.max(0, Math.min(line.length - 1, toColumn))] ?? null);
}

export function isSame(one: HeadPlace | null, other: HeadPlace | null): boolean {
  return one?.layer === other?.layer && one?.head === other?.head;
}
