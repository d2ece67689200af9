// Mouse and keys on the three matrices: one cursor, one zoom for all.

import { keyName, movedCell, type Cell } from "../matrix/moves";
import { positionAt, ZOOM_STEP } from "../matrix/matrix_layout";
import type { Comparing } from "./compare_state";

export interface InputActions {
  /** null: fit. */
  zoom: (factor: number | null, at?: { x: number; y: number }) => void;
  reveal: (cell: Cell) => void;
  /** The size of a cell in CSS pixels. */
  cell: () => number;
  /** Where the keys were last, in any of the three: the tab key goes on from there. */
  memory: { cell: Cell | null };
}

const ZOOMS: Record<string, number | null> = { "+": ZOOM_STEP, "=": ZOOM_STEP, "-": 1 / ZOOM_STEP, "0": null };

export function onMatrixInput(target: HTMLElement, { store, announce }: Comparing, actions: InputActions): void {
  const count = (): number => store.state.shown?.space.count ?? 0;

  function start(): Cell {
    const { cursor, locked } = store.state;
    const { cell: last } = actions.memory;
    const query = Math.min(cursor?.query ?? last?.query ?? locked ?? count() - 1, count() - 1);
    return { query, key: Math.min(cursor?.key ?? last?.key ?? query, query) };
  }

  function lock(query: number): void {
    const kept = store.state.locked === query;
    store.set({ locked: kept ? null : query });
    announce(kept ? "Row let go" : "Row kept");
  }

  function under(event: MouseEvent): Cell | null {
    const box = target.getBoundingClientRect();
    const query = positionAt(event.clientY - box.top, target.scrollTop, actions.cell(), count());
    const key = positionAt(event.clientX - box.left, target.scrollLeft, actions.cell(), count());
    return query === null || key === null ? null : { query, key };
  }

  target.addEventListener("pointermove", (event) => {
    const cell = under(event);
    const { cursor } = store.state;
    if (cell?.query !== cursor?.query || cell?.key !== cursor?.key) {
      store.set({ cursor: cell === null ? null : { ...cell, by: "mouse" } });
    }
  });
  target.addEventListener("pointerleave", () => {
    if (store.state.cursor?.by === "mouse") {
      store.set({ cursor: null });
    }
  });
  target.addEventListener("click", (event) => {
    const cell = under(event);
    if (cell !== null) {
      lock(cell.query);
    }
  });
  target.addEventListener(
    "wheel",
    (event) => {
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        const box = target.getBoundingClientRect();
        actions.zoom(event.deltaY < 0 ? ZOOM_STEP : 1 / ZOOM_STEP, {
          x: event.clientX - box.left,
          y: event.clientY - box.top,
        });
      }
    },
    { passive: false },
  );
  target.addEventListener("focus", () => {
    if (target.matches(":focus-visible") && store.state.cursor === null && count() > 0) {
      store.set({ cursor: { ...start(), by: "keyboard" } });
    }
  });
  target.addEventListener("blur", () => {
    const { cursor } = store.state;
    if (cursor?.by === "keyboard") {
      actions.memory.cell = cursor.key === null ? null : { query: cursor.query, key: cursor.key };
      store.set({ cursor: null });
    }
  });
  target.addEventListener("keydown", (event) => {
    if (event.altKey || count() === 0) {
      return;
    }
    const cell = movedCell(keyName(event), start(), { rows: count(), firstKey: () => 0 });
    const zoom = ZOOMS[keyName(event)];
    if (cell !== null) {
      store.set({ cursor: { ...cell, by: "keyboard" } });
      actions.reveal(cell);
    } else if (zoom !== undefined) {
      actions.zoom(zoom);
    } else if (event.key === "Enter" || event.key === " ") {
      lock(start().query);
    } else if (event.key === "Escape" && store.state.locked !== null) {
      store.set({ locked: null });
    } else {
      return;
    }
    event.preventDefault();
  });
}
