// Two texts on one axis: place n is the nth pair of positions that belong together, or a position that one text alone has.

import type { PositionPair } from "../../src/protocol";
import type { Span } from "../matrix/matrix_layout";

export interface PairSpace {
  /** Places on the axis: those with weights in one of the two. */
  count: number;
  /** By place: the position in A, in B; -1 where it has none, or no weights for it. */
  a: Int32Array;
  b: Int32Array;
}

/** `rowsA`, `rowsB`: positions with weights; the last token of a text has none. */
export function pairSpace(pairs: readonly PositionPair[], rowsA: number, rowsB: number): PairSpace {
  const within = (position: number | null, rows: number): number =>
    position !== null && position < rows ? position : -1;
  const a = Int32Array.from(pairs, (pair) => within(pair.a, rowsA));
  const b = Int32Array.from(pairs, (pair) => within(pair.b, rowsB));
  let count = pairs.length;
  while (count > 0 && a[count - 1] === -1 && b[count - 1] === -1) {
    count--;
  }
  return { count, a: a.subarray(0, count), b: b.subarray(0, count) };
}

/** The positions of a part of the axis; empty where the text has none there. */
export function positionsOf(side: Int32Array, [first, stop]: Span): Span {
  let [low, high] = [-1, -1];
  for (let place = first; place < stop; place++) {
    const position = side[place] ?? -1;
    if (position >= 0) {
      low = low === -1 ? position : low;
      high = position;
    }
  }
  return low === -1 ? [0, 0] : [low, high + 1];
}

/** With A and B changed for each other. */
export function flipped(pairs: readonly PositionPair[]): PositionPair[] {
  return pairs.map(({ a, b, same }) => ({ a: b, b: a, same }));
}

/** Positions that only one text has, and those whose tokens differ. */
export function countsOf(pairs: readonly PositionPair[]): {
  same: number;
  changed: number;
  onlyA: number;
  onlyB: number;
} {
  const counts = { same: 0, changed: 0, onlyA: 0, onlyB: 0 };
  for (const { a, b, same } of pairs) {
    counts[a === null ? "onlyB" : b === null ? "onlyA" : same ? "same" : "changed"]++;
  }
  return counts;
}
