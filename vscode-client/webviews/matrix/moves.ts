// Where keys lead: from cell to cell of the matrix, from head to head of the overview.

import type { HeadPlace } from "../heads/trace_heads";

export interface Cell {
  query: number;
  key: number;
}

export interface Bounds {
  rows: number;
  /** The first key that a query sees. */
  firstKey: (query: number) => number;
}

const PAGE_ROWS = 10;

/** By key; with Ctrl or Cmd its name begins with `Mod+`. */
const CELL_MOVES: Record<string, (cell: Cell, bounds: Bounds) => Cell> = {
  ArrowUp: ({ query, key }) => ({ query: query - 1, key }),
  ArrowDown: ({ query, key }) => ({ query: query + 1, key }),
  ArrowLeft: ({ query, key }) => ({ query, key: key - 1 }),
  ArrowRight: ({ query, key }) => ({ query, key: key + 1 }),
  PageUp: ({ query, key }) => ({ query: query - PAGE_ROWS, key }),
  PageDown: ({ query, key }) => ({ query: query + PAGE_ROWS, key }),
  Home: ({ query }, { firstKey }) => ({ query, key: firstKey(query) }),
  End: ({ query }) => ({ query, key: query }),
  "Mod+Home": () => ({ query: 0, key: 0 }),
  "Mod+End": (_, { rows }) => ({ query: rows - 1, key: rows - 1 }),
};

/** Another cell that its query sees; null for keys that do not move. */
export function movedCell(name: string, cell: Cell, bounds: Bounds): Cell | null {
  const move = CELL_MOVES[name];
  if (move === undefined || bounds.rows === 0) {
    return null;
  }
  const wanted = move(cell, bounds);
  const query = within(wanted.query, bounds.rows);
  return { query, key: Math.max(bounds.firstKey(query), Math.min(query, wanted.key)) };
}

/** Row of the overview and head. */
const HEAD_MOVES: Record<string, (row: number, head: number, heads: number) => [number, number]> = {
  ArrowUp: (row, head) => [row - 1, head],
  ArrowDown: (row, head) => [row + 1, head],
  ArrowLeft: (row, head) => [row, head - 1],
  ArrowRight: (row, head) => [row, head + 1],
  Home: (row) => [row, 0],
  End: (row, _, heads) => [row, heads - 1],
  "Mod+Home": () => [0, 0],
  "Mod+End": (_row, _head, heads) => [Infinity, heads - 1],
};

export function movedHead(name: string, place: HeadPlace, layers: readonly number[], heads: number): HeadPlace | null {
  const move = HEAD_MOVES[name];
  if (move === undefined || layers.length === 0) {
    return null;
  }
  const [row, head] = move(layers.indexOf(place.layer), place.head, heads);
  return { layer: layers[within(row, layers.length)] ?? place.layer, head: within(head, heads) };
}

function within(index: number, count: number): number {
  return Math.max(0, Math.min(count - 1, index));
}

/** A key's name as the tables above have it. */
export function keyName(event: { key: string; ctrlKey: boolean; metaKey: boolean }): string {
  return event.ctrlKey || event.metaKey ? `Mod+${event.key}` : event.key;
}
