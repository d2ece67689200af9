// Which heads, positions and steps a trace has.

import { nearestLayer } from "../../src/selection";
import type { Selection, TraceData } from "../../src/shared/messages";

export interface HeadPlace {
  layer: number;
  head: number;
}

/** The head that is selected, or the nearest there is; null where no attention was captured. */
export function shownHead(trace: TraceData, selection: Selection): HeadPlace | null {
  if (trace.layers.length === 0 || trace.heads === 0) {
    return null;
  }
  return { layer: nearestLayer(trace.layers, selection.layer), head: Math.min(selection.head, trace.heads - 1) };
}

/** The head so many steps on, in the order of reading: after a layer's last comes the next layer's first. */
export function headAfter(trace: TraceData, place: HeadPlace, steps: number): HeadPlace | null {
  const { layers } = trace;
  const index = layers.indexOf(place.layer) * trace.heads + place.head + steps;
  const layer = layers[Math.floor(index / trace.heads)];
  return layer === undefined || index < 0 ? null : { layer, head: index % trace.heads };
}

/** The heads that are likely to be looked at next. */
export function nextHeads(trace: TraceData, place: HeadPlace): HeadPlace[] {
  const { layers } = trace;
  const below = layers[layers.indexOf(place.layer) + 1];
  const found = [headAfter(trace, place, 1), headAfter(trace, place, -1)];
  return [...found, below === undefined ? null : { layer: below, head: place.head }].filter((head) => head !== null);
}

export function promptLength(trace: TraceData): number {
  const first = trace.tokens.findIndex((token) => token.generated);
  return first === -1 ? trace.tokens.length : first;
}

/** Forward passes: the prompt's, then one a token. */
export function stepCount(trace: TraceData): number {
  return Math.max(1, trace.summary.data_info.num_steps);
}

/** Rows that were there after a step; all of them for null. */
export function rowsAfter(trace: TraceData, step: number | null): number {
  const rows = step === null ? trace.positions : promptLength(trace) + step;
  return Math.max(0, Math.min(trace.positions, rows));
}

/** The row that is lit: under the mouse or the keyboard, else chosen, else the one that the shown step computed last. */
export function litRow(pointed: number | null, selection: Selection, rows: number): number | null {
  const row = pointed ?? selection.token ?? (selection.step === null ? null : rows - 1);
  return row !== null && row >= 0 && row < rows ? row : null;
}
