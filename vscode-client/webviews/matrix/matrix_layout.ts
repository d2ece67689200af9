// Where things are in a matrix of tokens: cells, what is visible, which labels have room.

import type { Span } from "../../src/shared/tiles";

export type { Span };

/** What of a matrix is seen, and where; device pixels. */
export interface Seen {
  cell: number;
  /** The gutters of the labels, and the window on the matrix right of and below them. */
  left: number;
  top: number;
  width: number;
  height: number;
  scrollX: number;
  scrollY: number;
  rows: Span;
  columns: Span;
}

/** How much larger cells are after one step in. */
export const ZOOM_STEP = 1.25;
export const LARGEST_CELL = 96;
const LARGEST_FITTED = 64;

/** The cell size at which all positions take all of so many device pixels: of 20.4, some cells have 20 and some 21. */
export function fittedCell(available: number, positions: number, pixelRatio: number): number {
  return Math.min(available / Math.max(1, positions), Math.round(LARGEST_FITTED * pixelRatio));
}

/** The first device pixel of a position: the one whose middle lies in it, as a picture scaled without smoothing has it. */
export function cellEdge(position: number, cell: number, scroll: number): number {
  return Math.ceil(position * cell - scroll - 0.5 - 1e-6) + 0; // never -0
}

export interface Room {
  /** CSS pixels: of the frame, of its labels left and above, and what is kept free to the right. */
  width: number;
  height: number;
  left: number;
  top: number;
  right: number;
}

/** Lengths in device pixels; `whole` is all of the matrix, `width` and `height` what is seen of it. */
export interface Fitting {
  cell: number;
  fit: number;
  whole: number;
  left: number;
  top: number;
  width: number;
  height: number;
  zoomed: boolean;
}

/** Where a matrix lies in its room; `wanted`: the cell size that was zoomed to, null for all of it. */
export function fittingOf(room: Room, positions: number, ratio: number, wanted: number | null): Fitting {
  const [left, top] = [Math.round(room.left * ratio), Math.round(room.top * ratio)];
  const across = Math.max(1, Math.floor((room.width - room.right) * ratio) - left);
  const down = Math.max(1, Math.floor(room.height * ratio) - top);
  const available = Math.min(across, down);
  const fit = fittedCell(available, positions, ratio);
  const zoomed = wanted !== null && wanted > fit;
  const cell = zoomed ? wanted : fit;
  const whole = Math.round(positions * cell);
  const [width, height] = [Math.min(whole, zoomed ? across : available), Math.min(whole, available)];
  return { cell, fit, whole, left, top, width, height, zoomed };
}

/** How many columns give so many matrices the largest cells. */
export function columnsFor(count: number, width: number, height: number): number {
  let best = 1;
  let largest = 0;
  for (let columns = 1; columns <= count; columns++) {
    const side = Math.min(width / columns, height / Math.ceil(count / columns));
    if (side > largest + 1) {
      [best, largest] = [columns, side];
    }
  }
  return best;
}

/** One step in (or out, for a factor under 1): a whole number of device pixels, never smaller than what fits. */
export function zoomedCell(cell: number, factor: number, fitted: number, pixelRatio: number): number {
  const wanted = cell * factor;
  const whole = wanted < 1 ? wanted : factor > 1 ? Math.ceil(wanted) : Math.floor(wanted);
  const largest = Math.max(fitted, LARGEST_CELL * pixelRatio);
  return Math.min(largest, Math.max(fitted, whole));
}

/** Positions of which some part is seen. */
export function visibleSpan(scroll: number, length: number, cell: number, positions: number): Span {
  const first = Math.max(0, Math.min(positions, Math.floor(scroll / cell)));
  const stop = Math.max(first, Math.min(positions, Math.ceil((scroll + length) / cell)));
  return [first, stop];
}

/** The position at a distance from the edge of the window; null outside the matrix. */
export function positionAt(offset: number, scroll: number, cell: number, positions: number): number | null {
  const position = Math.floor((offset + scroll) / cell);
  return offset >= 0 && position >= 0 && position < positions ? position : null;
}

/** Where to scroll so that a position is seen, with a little around it. */
export function scrollTo(position: number, scroll: number, length: number, cell: number): number {
  const margin = Math.min(cell * 2, length / 4);
  const start = position * cell;
  if (start - margin < scroll) {
    return Math.max(0, start - margin);
  }
  return start + cell + margin > scroll + length ? start + cell + margin - length : scroll;
}

/** After zooming, the point under the mouse stays there. */
export function scrollKeeping(offset: number, scroll: number, cell: number, zoomed: number): number {
  return Math.max(0, ((offset + scroll) / cell) * zoomed - offset);
}

/** What a query sees: keys from `query - window` to itself. */
export function isMasked(query: number, key: number, window: number): boolean {
  return key > query || key < query - window;
}

/** Every how many positions a label has room: 1, 2, 5, 10, 20, ... */
export function labelStride(cell: number, room: number): number {
  for (let size = 1; ; size *= 10) {
    for (const factor of [1, 2, 5]) {
      if (cell * size * factor >= room) {
        return size * factor;
      }
    }
  }
}

/** Positions whose labels are drawn: those that must be, then every nth where none of them is in the way. */
export function placedLabels(span: Span, cell: number, room: number, wanted: readonly number[]): number[] {
  const placed: number[] = [];
  const hasRoom = (position: number): boolean => placed.every((other) => Math.abs(other - position) * cell >= room);
  const stride = labelStride(cell, room);
  const regular: number[] = [];
  for (let position = Math.ceil(span[0] / stride) * stride; position < span[1]; position += stride) {
    regular.push(position);
  }
  for (const position of [...wanted, ...regular]) {
    if (position >= span[0] && position < span[1] && hasRoom(position)) {
      placed.push(position);
    }
  }
  return placed.sort((a, b) => a - b);
}
