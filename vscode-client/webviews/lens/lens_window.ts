// Which positions the lens shows: as many as there is room for, around the chosen one.

export const COLUMN = 70; // CSS pixels
export const LABELS = 116;
const LEAST = 3;
const MOST = 40;
const VALUES = 1500; // points times positions asked for at once, about

/** How many columns fit. */
export function columnsIn(width: number, positions: number): number {
  const fitting = Math.floor((width - LABELS) / COLUMN);
  return Math.min(positions, Math.max(LEAST, Math.min(MOST, fitting)));
}

/** Where the window begins: it moves no further than the chosen position needs; null: it is chosen anew. */
export function windowStart(start: number | null, columns: number, position: number, positions: number): number {
  const last = Math.max(0, positions - columns);
  const wanted =
    start === null ? position - Math.floor(columns / 2) : Math.min(position, Math.max(start, position - columns + 1));
  return Math.max(0, Math.min(last, wanted));
}

/** Positions to ask for: none while all in sight are known, else those, and their neighbours while they are few. */
export function missingPositions(
  known: { has: (position: number) => boolean },
  [start, columns]: readonly [number, number],
  positions: number,
  points: number,
): number[] {
  const all = Array.from({ length: columns }, (_, column) => start + column);
  if (all.every((position) => known.has(position))) {
    return [];
  }
  const most = Math.max(columns, Math.floor(VALUES / points));
  const before = Math.max(0, Math.min(start - Math.floor((most - columns) / 2), positions - most));
  const found = Array.from({ length: Math.min(most, positions) }, (_, index) => before + index);
  return found.filter((position) => position < positions && !known.has(position));
}
