// All heads that both have, coloured by how differently they look at the two texts. Arrow keys move the chosen one.

import { keyName } from "../matrix/moves";
import type { HeadPlace } from "../heads/trace_heads";
import { css } from "../common/colour";
import { colourAt, gradient, textAt } from "../common/colour_map";
import { element } from "../common/dom";
import { headName, shortWeight, threeDigits } from "../common/number_text";
import type { Comparing } from "./compare_state";
import { divergenceOf, headRows, isSame, movedHead, type Order } from "./divergence_order";

const GRID_HEIGHT = 300; // CSS pixels that the cells share, until they are too small to hit
const FEW = 8; // heads to a row, up to which the cells have room for numbers
const LEAST_TOP = 0.001; // bits that the colours span at least, so that nothing is made of rounding
const MEANING =
  "How differently a head looks at the two texts: the mean over paired queries of the Jensen-Shannon divergence of its " +
  "weights, in bits; 0 alike, 1 nothing shared";

export function divergencesPart(comparing: Comparing): HTMLElement {
  const { store } = comparing;
  const choice = element(
    "select",
    { "aria-label": "Order of the heads" },
    element("option", { value: "layer" }, "By layer"),
    element("option", { value: "divergence" }, "By divergence"),
  );
  const ramp = element("div", { class: "ramp" });
  const most = element("span");
  const legend = element(
    "div",
    { class: "legend", "aria-hidden": "true", title: MEANING },
    element("span", {}, "0"),
    ramp,
    most,
  );
  const grid = element("div", { class: "divergences sheet", role: "grid", "aria-label": "Heads by divergence" });
  const words = element("p", { class: "head-words" });
  let rows: HeadPlace[][] = [];
  let cells: HTMLElement[][] = [];

  function fill(): void {
    const { shown, divergences, order } = store.state;
    if (shown === null) {
      return;
    }
    const focused = grid.contains(document.activeElement);
    rows = headRows(shown.common, divergences, order);
    const width = Math.max(1, ...rows.map((row) => row.length));
    cells = rows.map((row) => row.map((place) => cellOf(place)));
    const height = Math.max(12, Math.min(26, Math.floor(GRID_HEIGHT / Math.max(1, rows.length))));
    for (const part of [grid, legend]) {
      part.style.setProperty("--heads", String(width));
    }
    grid.style.setProperty("--height", `${height}px`);
    grid.classList.toggle("sorted", order === "divergence");
    const lines = rows.map((row, index) =>
      element(
        "div",
        { class: "divergence-row", role: "row" },
        order === "layer" ? number(row[0]?.layer ?? 0, "rowheader") : null,
        ...(cells[index] ?? []),
      ),
    );
    const corner = element("span", { role: "columnheader" }, element("span", { class: "visually-hidden" }, "Layer"));
    const numbers = Array.from({ length: width }, (_, head) => number(head, "columnheader"));
    const top = element("div", { class: "divergence-row", role: "row" }, corner, ...numbers);
    grid.replaceChildren(...(order === "layer" ? [top] : []), ...lines);
    choice.value = order;
    colour();
    mark();
    if (focused) {
      grid.querySelector<HTMLElement>('[tabindex="0"]')?.focus();
    }
  }

  function colour(): void {
    const { divergences, map, order } = store.state;
    const values = rows.map((row) => row.map((place) => divergenceOf(divergences, place)));
    const largest = values.flat().reduce<number>((top, value) => Math.max(top, value ?? 0), LEAST_TOP);
    const roomy = (rows[0]?.length ?? 0) <= FEW;
    cells.forEach((row, index) => {
      row.forEach((cell, column) => {
        const place = rows[index]?.[column];
        const value = values[index]?.[column] ?? null;
        if (place === undefined) {
          return;
        }
        const share = value === null ? 0 : value / largest;
        const name = headName(place.layer, place.head);
        cell.classList.toggle("unknown", value === null);
        cell.style.backgroundColor = value === null ? "" : css(colourAt(map, share));
        cell.style.color = value === null ? "" : css(textAt(map, share));
        cell.dataset.number = order === "divergence" ? name : roomy && value !== null ? numberIn(value, largest) : "";
        cell.title = value === null ? `${name}: not compared yet` : `${name}: ${threeDigits(value)} bits`;
        cell.setAttribute("aria-label", `${name}, divergence ${value === null ? "not known yet" : threeDigits(value)}`);
      });
    });
    ramp.style.backgroundImage = gradient(map);
    most.textContent = `${threeDigits(largest)} bits`;
  }

  function mark(): void {
    const { place } = store.state;
    cells.forEach((row, index) => {
      row.forEach((cell, column) => {
        const chosen = isSame(rows[index]?.[column] ?? null, place);
        cell.setAttribute("aria-selected", String(chosen));
        cell.setAttribute("tabindex", chosen ? "0" : "-1");
      });
    });
    describe();
  }

  function describe(): void {
    const { pointedHead, place, divergences, shown } = store.state;
    const told = pointedHead ?? place;
    const done = divergences.size;
    const all = shown?.common.size ?? 0;
    const progress = done < all ? ` · compared ${done} of ${all} layers` : "";
    words.replaceChildren(
      element("strong", {}, told === null ? "" : headName(told.layer, told.head)),
      element(
        "span",
        { class: "muted", title: MEANING },
        told === null ? "" : ` divergence ${threeDigits(divergenceOf(divergences, told))} bits${progress}`,
      ),
    );
  }

  choice.addEventListener("change", () => {
    store.set({ order: choice.value as Order });
  });
  grid.addEventListener("pointerover", (event) => {
    store.set({ pointedHead: placeOf(event.target) });
  });
  grid.addEventListener("pointerleave", () => {
    store.set({ pointedHead: null });
  });
  grid.addEventListener("click", (event) => {
    const place = placeOf(event.target);
    if (place !== null) {
      comparing.choose(place);
    }
  });
  grid.addEventListener("keydown", (event) => {
    const { place } = store.state;
    const next = place === null || event.key.length === 1 ? null : movedHead(keyName(event), place, rows);
    if (next !== null) {
      event.preventDefault();
      comparing.choose(next);
      cells
        .flat()
        .find((cell) => isSame(placeOf(cell), next))
        ?.focus();
    }
  });

  const bar = element(
    "div",
    { class: "bar" },
    element("h2", {}, "Heads by divergence"),
    element("div", { class: "push" }, choice),
  );
  const part = element("section", { class: "divergence-part", "aria-label": "Heads" }, bar, grid, legend, words);
  store.subscribe((state, before) => {
    if (state.shown !== before.shown || state.order !== before.order) {
      fill();
      part.hidden = state.shown !== null && state.shown.common.size === 0;
    } else if (state.divergences !== before.divergences && state.order === "divergence") {
      fill();
    } else if (state.divergences !== before.divergences || state.map !== before.map) {
      colour();
      describe();
    }
    if (state.place !== before.place) {
      mark();
    } else if (state.pointedHead !== before.pointedHead) {
      describe();
    }
  });
  return part;
}

/** With a digit more where all are small. */
function numberIn(value: number, largest: number): string {
  return largest >= 0.1 ? shortWeight(value) : value < 0.0005 ? "" : value.toFixed(3).replace(/^0/, "");
}

function number(value: number, role: "rowheader" | "columnheader"): HTMLElement {
  return element("span", { class: "divergence-number", role }, String(value));
}

function cellOf({ layer, head }: HeadPlace): HTMLElement {
  return element("span", {
    class: "divergence",
    role: "gridcell",
    tabindex: -1,
    "data-layer": layer,
    "data-head": head,
  });
}

function placeOf(target: EventTarget | null): HeadPlace | null {
  const cell = target instanceof Element ? target.closest<HTMLElement>(".divergence") : null;
  return cell === null ? null : { layer: Number(cell.dataset.layer), head: Number(cell.dataset.head) };
}
