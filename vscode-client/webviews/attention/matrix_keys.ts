// Keys of the matrix: a cell to move about, rows to keep, zoom.

import type { Looking, Pointed } from "./looking";
import { largestWeights } from "./row_values";

export interface KeyActions {
  reveal: (query: number, key: number) => void;
  /** null: fit. */
  zoom: (factor: number | null) => void;
}

interface Cell {
  query: number;
  key: number;
}

interface Bounds {
  rows: number;
  /** The first key that a query sees. */
  firstKey: (query: number) => number;
}

const PAGE_ROWS = 10;

/** By key, with Ctrl or Cmd where it begins with `Mod+`. */
const MOVES: Record<string, (cell: Cell, bounds: Bounds) => Cell> = {
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
const ZOOMS: Record<string, number | null> = { "+": 1.25, "=": 1.25, "-": 0.8, "0": null };

export function movedCell(name: string, cell: Cell, bounds: Bounds): Cell | null {
  const move = MOVES[name];
  if (move === undefined || bounds.rows === 0) {
    return null;
  }
  const wanted = move(cell, bounds);
  const query = Math.max(0, Math.min(bounds.rows - 1, wanted.query));
  return { query, key: Math.max(bounds.firstKey(query), Math.min(query, wanted.key)) };
}

export function onMatrixKeys(target: HTMLElement, looking: Looking, actions: KeyActions): void {
  const { page, store, data } = looking;

  function start(): Cell {
    const { pointed, row } = store.state;
    const query = looking.lit() ?? Math.max(0, looking.rows() - 1);
    const [largest] = row?.query === query ? largestWeights(row, 1) : [];
    return { query, key: pointed?.key ?? largest?.key ?? query };
  }

  function point(cell: Cell): void {
    const pointed: Pointed = { ...cell, by: "keyboard" };
    store.set({ pointed });
    actions.reveal(cell.query, cell.key);
  }

  target.addEventListener("focus", () => {
    if (target.matches(":focus-visible") && store.state.pointed === null) {
      point(start());
    }
  });
  target.addEventListener("blur", () => {
    if (store.state.pointed?.by === "keyboard") {
      store.set({ pointed: null });
    }
  });
  target.addEventListener("keydown", (event) => {
    if (event.altKey) {
      return;
    }
    const mod = event.ctrlKey || event.metaKey;
    const bounds: Bounds = { rows: looking.rows(), firstKey: (query) => Math.max(0, query - data.window) };
    const cell = movedCell(`${mod ? "Mod+" : ""}${event.key}`, start(), bounds);
    const zoom = mod ? undefined : ZOOMS[event.key];
    if (cell !== null) {
      point(cell);
    } else if (zoom !== undefined) {
      actions.zoom(zoom);
    } else if (event.key === "Enter" || event.key === " ") {
      const { query } = start();
      const kept = page.store.state.selection.token === query;
      page.select({ token: kept ? null : query });
      page.announce(kept ? "Row let go" : `Row ${query} kept`);
    } else if (event.key === "Escape" && page.store.state.selection.token !== null) {
      page.select({ token: null });
    } else {
      return;
    }
    event.preventDefault();
  });
}
