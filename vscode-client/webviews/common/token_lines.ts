// Up and down in a text: to the token of the next line that is nearest, and to the next speaker.

import type { Turn } from "./turns";

interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/** What of an element a line needs. */
export interface Boxed {
  getClientRects: () => ArrayLike<Box>;
}

/** The position on the line above (-1) or below (1) that is nearest; the same where there is none. */
export function movedByLine(from: number, spans: readonly Boxed[], by: 1 | -1): number {
  const start = boxOf(spans[from], by);
  if (start === undefined) {
    return from;
  }
  let line: Box | null = null;
  let best = from;
  let least = Infinity;
  for (let position = from + by; position >= 0 && position < spans.length; position += by) {
    const box = boxOf(spans[position], -by);
    if (box === undefined || !isBeyond(box, start, by)) {
      continue;
    }
    line ??= box;
    if (isBeyond(box, line, by)) {
      break;
    }
    if (distance(box, start) < least) {
      [best, least] = [position, distance(box, start)];
    }
  }
  return best;
}

/** Where the turns begin. */
export function stopsOf(turns: readonly Turn[]): number[] {
  return turns.map(({ start }) => start);
}

/** The first of the lines that a token takes, or its last. */
function boxOf(span: Boxed | undefined, by: number): Box | undefined {
  const boxes = span?.getClientRects();
  return boxes?.[by < 0 ? 0 : boxes.length - 1];
}

function isBeyond(box: Box, other: Box, by: 1 | -1): boolean {
  return by > 0 ? box.top >= other.bottom - 3 : box.bottom <= other.top + 3;
}

function distance(box: Box, other: Box): number {
  return Math.abs(box.left + box.right - other.left - other.right);
}
