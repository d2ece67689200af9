// What each head wrote into the logit: a row a layer, coloured both ways from zero.

import { css } from "../common/colour";
import { divergingAt, divergingGradient, type DivergingMap } from "../common/diverging_map";
import { element, setAttributes } from "../common/dom";
import { headName, threeDigits } from "../common/number_text";
import { cellOf, placeOf } from "../heads/head_cells";
import type { HeadPlace } from "../heads/trace_heads";
import { keyName, movedHead } from "../matrix/moves";
import { markOff } from "../switch_off/mark_off";
import type { Attribution } from "./attribution_state";
import { signed } from "./bars";
import type { Part } from "./parts";

const GRID_HEIGHT = 280; // CSS pixels that the cells share, until they are too small to hit

export function headGrid(attribution: Attribution): HTMLElement {
  const { page, store } = attribution;
  const grid = element("div", { class: "heads written sheet", role: "grid", "aria-label": "What each head wrote" });
  const ramp = element("div", { class: "ramp" });
  const [least, most] = [element("span"), element("span")];
  const legend = element("div", { class: "legend", "aria-hidden": "true" }, least, ramp, most);
  let layers: number[] = [];
  let width = 0;
  const cells = new Map<string, HTMLElement>();

  function fill(heads: readonly Part[]): void {
    layers = [...new Set(heads.flatMap(({ layer }) => (layer === null ? [] : [layer])))].sort((a, b) => a - b);
    width = 1 + Math.max(0, ...heads.map(({ head }) => head ?? 0));
    cells.clear();
    for (const { name, layer, head } of heads) {
      if (layer !== null && head !== null) {
        cells.set(name, cellOf({ layer, head }));
      }
    }
    for (const part of [grid, legend]) {
      part.style.setProperty("--heads", String(width));
    }
    grid.style.setProperty(
      "--height",
      `${Math.max(9, Math.min(24, Math.floor(GRID_HEIGHT / Math.max(1, layers.length))))}px`,
    );
    const corner = element("span", { role: "columnheader" }, element("span", { class: "visually-hidden" }, "Layer"));
    const numbers = Array.from({ length: width }, (_, head) =>
      element("span", { class: "heads-number", role: "columnheader" }, String(head)),
    );
    grid.replaceChildren(
      element("div", { class: "heads-row", role: "row" }, corner, ...numbers),
      ...layers.map((layer) =>
        element(
          "div",
          { class: "heads-row", role: "row" },
          element("span", { class: "heads-layer", role: "rowheader" }, String(layer)),
          ...Array.from({ length: width }, (_, head) => cells.get(headName(layer, head)) ?? null),
        ),
      ),
    );
  }

  function paint(heads: readonly Part[], map: DivergingMap): void {
    const largest = Math.max(...heads.map(({ value }) => Math.abs(value)), 0) || 1;
    for (const { name, value } of heads) {
      const cell = cells.get(name);
      if (cell !== undefined) {
        cell.style.backgroundColor = css(divergingAt(map, value / largest));
        cell.setAttribute("aria-label", `${name} ${signed(value)}`);
      }
    }
    least.textContent = `−${threeDigits(largest)}`;
    most.textContent = `+${threeDigits(largest)}`;
    ramp.style.backgroundImage = divergingGradient(map, (share) => share);
  }

  /** The chosen head, or the first where the model has no such. */
  function chosen(): HeadPlace {
    const { layer, head } = page.store.state.selection;
    return cells.has(headName(layer, head)) ? { layer, head } : { layer: layers[0] ?? 0, head: 0 };
  }

  function mark(): void {
    const { layer, head } = chosen();
    for (const [name, cell] of cells) {
      const isChosen = name === headName(layer, head);
      setAttributes(cell, { "aria-selected": String(isChosen), tabindex: isChosen ? 0 : -1 });
    }
    markOff(grid, page.edits.store.state.edits);
  }

  function point(target: EventTarget | null): void {
    const place = placeOf(target);
    const name = place === null ? "" : headName(place.layer, place.head);
    store.set({ pointed: store.state.heads.find((part) => part.name === name) ?? null });
  }

  grid.addEventListener("pointerover", (event) => {
    point(event.target);
  });
  grid.addEventListener("pointerleave", () => {
    store.set({ pointed: null });
  });
  grid.addEventListener("focusin", (event) => {
    point(event.target);
  });
  grid.addEventListener("click", (event) => {
    const place = placeOf(event.target);
    if (place !== null) {
      attribution.openHead(place);
    }
  });
  grid.addEventListener("keydown", (event) => {
    const place = placeOf(event.target);
    if (place === null) {
      return;
    }
    const next = movedHead(keyName(event), place, layers, width);
    if (next !== null) {
      event.preventDefault();
      page.select({ ...next });
      cells.get(headName(next.layer, next.head))?.focus();
    } else if (event.key === "Enter") {
      event.preventDefault();
      attribution.openHead(place);
    }
  });
  page.store.subscribe(mark);
  page.edits.store.subscribe(mark);
  store.subscribe((state, before) => {
    if (state.heads !== before.heads) {
      const focused = grid.contains(document.activeElement);
      fill(state.heads);
      mark();
      if (focused) {
        grid.querySelector<HTMLElement>('[tabindex="0"]')?.focus();
      }
    }
    if (state.heads !== before.heads || state.map !== before.map) {
      paint(state.heads, state.map);
    }
  });
  return element("div", { class: "written-heads" }, grid, legend);
}
