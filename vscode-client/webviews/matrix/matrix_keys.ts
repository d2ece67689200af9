// Keys of the matrix: a cell to move about, rows to keep, zoom.

import type { AttentionState } from "../attention/attention_state";
import { keyName, movedCell, type Bounds, type Cell } from "./moves";
import { ZOOM_STEP } from "./matrix_layout";
import type { Panel } from "../attention/panel";
import type { Pointed } from "../attention/pointed";
import { largestWeights } from "./row_values";

export interface KeyActions {
  reveal: (query: number, key: number) => void;
  /** null: fit. */
  zoom: (factor: number | null) => void;
}

const ZOOMS: Record<string, number | null> = { "+": ZOOM_STEP, "=": ZOOM_STEP, "-": 1 / ZOOM_STEP, "0": null };

export function onMatrixKeys(target: HTMLElement, looking: AttentionState, panel: Panel, actions: KeyActions): void {
  const { page, store } = looking;
  const { data } = panel;

  function start(): Cell {
    const { pointed } = store.state;
    const { row } = panel.store.state;
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
    const bounds: Bounds = { rows: looking.rows(), firstKey: (query) => Math.max(0, query - data.window) };
    const cell = movedCell(keyName(event), start(), bounds);
    const zoom = ZOOMS[keyName(event)];
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
