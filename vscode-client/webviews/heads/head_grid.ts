// The heads as a grid of cells: a row a layer, or a row of those that rank alike, with numbers above and beside.

import { element } from "../common/dom";
import type { HeadRow } from "./head_order";
import type { HeadPlace } from "./trace_heads";

const GRID_HEIGHT = 280; // CSS pixels that the cells share, until they are too small to hit

export interface HeadGrid {
  /** What the rows are, for those who hear them. */
  first: string;
  heads: number;
  rows: readonly HeadRow[];
  cellAt: (place: HeadPlace) => HTMLElement | undefined;
}

export function fillGrid(grid: HTMLElement, { first, heads, rows, cellAt }: HeadGrid): void {
  grid.style.setProperty("--heads", String(heads));
  grid.style.setProperty("--layers", String(rows.length));
  grid.style.setProperty("--height", `${Math.max(9, Math.min(20, Math.floor(GRID_HEIGHT / rows.length)))}px`);
  const numbers = Array.from({ length: heads }, (_, head) =>
    element("span", { class: "heads-number", role: "columnheader" }, String(head)),
  );
  const corner = element("span", { role: "columnheader" }, element("span", { class: "visually-hidden" }, first));
  grid.replaceChildren(
    element("div", { class: "heads-row", role: "row" }, corner, ...numbers),
    ...rows.map(({ name, heads: places }) =>
      element(
        "div",
        { class: "heads-row", role: "row" },
        element("span", { class: "heads-layer", role: "rowheader" }, name),
        ...places.map((place) => cellAt(place) ?? null),
      ),
    ),
  );
}
