// All heads at once: each as a small picture, or as a cell coloured by a statistic. Arrow keys move the chosen one.

import type { TraceData } from "../../src/shared/messages";
import { css } from "../common/colour";
import { colourAt, gradient, type ColourMap } from "../common/colour_map";
import { HeadPictures } from "./head_pictures";
import { drawPicture } from "./picture_drawing";
import { element } from "../common/dom";
import { headName, threeDigits } from "../common/number_text";
import { traceOf } from "../common/page";
import { bestRole, domainOf, headStatistics, statisticNamed, statisticsOf, type Statistic } from "../common/statistics";
import type { HeadLook } from "./head_look";
import { keyName, movedHead } from "./moves";
import type { HeadPlace } from "./trace_heads";

const PATTERN = "pattern";
const GRID_HEIGHT = 280; // CSS pixels that the cells share, until they are too small to hit

export function overviewPart(looking: HeadLook): HTMLElement {
  const { page, store } = looking;
  const pictures = new HeadPictures(page.reads, drawPictures);
  const select = element("select", { "aria-label": "Colour heads by" });
  const ramp = element("div", { class: "ramp" });
  const [least, most] = [element("span"), element("span")];
  const legend = element("div", { class: "legend", "aria-hidden": "true" }, least, ramp, most);
  const grid = element("div", { class: "heads sheet", role: "grid", "aria-label": "Heads, a row a layer" });
  const words = element("p", { class: "head-words" });
  let cells: HTMLElement[][] = [];
  let layers: readonly number[] = [];

  function fill(trace: TraceData): void {
    const statistics = statisticsOf(trace);
    select.replaceChildren(
      element("option", { value: PATTERN }, "Patterns"),
      group(
        "Roles",
        statistics.filter(({ role }) => role != null),
      ),
      group(
        "Statistics",
        statistics.filter(({ role }) => role == null),
      ),
    );
    ({ layers } = trace);
    cells = layers.map((layer) => Array.from({ length: trace.heads }, (_, head) => cellOf({ layer, head })));
    for (const part of [grid, legend]) {
      part.style.setProperty("--heads", String(trace.heads));
    }
    grid.style.setProperty("--layers", String(layers.length));
    grid.style.setProperty("--height", `${Math.max(9, Math.min(20, Math.floor(GRID_HEIGHT / layers.length)))}px`);
    const numbers = Array.from({ length: trace.heads }, (_, head) =>
      element("span", { class: "heads-number", role: "columnheader" }, String(head)),
    );
    const corner = element("span", { role: "columnheader" }, element("span", { class: "visually-hidden" }, "Layer"));
    grid.replaceChildren(
      element("div", { class: "heads-row", role: "row" }, corner, ...numbers),
      ...layers.map((layer, row) =>
        element(
          "div",
          { class: "heads-row", role: "row" },
          element("span", { class: "heads-layer", role: "rowheader" }, String(layer)),
          ...(cells[row] ?? []),
        ),
      ),
    );
  }

  function paint(trace: TraceData, statistic: Statistic, map: ColourMap): void {
    const values = layers.map((layer) =>
      Array.from(
        { length: trace.heads },
        (_, head) => headStatistics(trace.analysis, layer, head)?.[statistic.name] ?? null,
      ),
    );
    const [low, high] = domainOf(statistic, values.flat());
    values.forEach((row, index) => {
      row.forEach((value, head) => {
        const cell = cells[index]?.[head];
        if (cell !== undefined) {
          cell.classList.toggle("unknown", value === null);
          cell.style.backgroundColor = value === null ? "" : css(colourAt(map, (value - low) / (high - low)));
          cell.setAttribute(
            "aria-label",
            `${headName(layers[index] ?? 0, head)}, ${statistic.label} ${threeDigits(value)}`,
          );
        }
      });
    });
    ramp.style.backgroundImage = gradient(map);
    least.textContent = threeDigits(low);
    const shown = threeDigits(high);
    const short = shown.includes(".") ? String(Number(shown)) : shown; // without zeros at its end
    most.textContent = `${short}${unitOf(statistic)}`;
  }

  function drawPictures(which: readonly number[]): void {
    const { map, statistic } = page.store.state;
    if (statistic !== PATTERN) {
      return;
    }
    for (const layer of which) {
      cells[layers.indexOf(layer)]?.forEach((cell, head) => {
        const picture = pictures.of({ layer, head });
        if (picture !== null) {
          cell.classList.remove("unknown");
          cell.replaceChildren(drawPicture(picture, map));
        }
      });
    }
  }

  function paintPatterns(trace: TraceData): void {
    cells.forEach((line, row) => {
      line.forEach((cell, head) => {
        const layer = layers[row] ?? 0;
        const role = bestRole(trace, headStatistics(trace.analysis, layer, head));
        const words = role?.clear === true ? `, ${role.statistic.role.words}` : "";
        cell.classList.add("unknown");
        cell.style.backgroundColor = "";
        cell.setAttribute("aria-label", headName(layer, head) + words);
      });
    });
    pictures.want();
    drawPictures(layers);
  }

  function colour(trace: TraceData, name: string, map: ColourMap): void {
    const patterns = name === PATTERN;
    grid.classList.toggle("pictures", patterns);
    legend.hidden = patterns;
    if (patterns) {
      select.value = PATTERN;
      select.title = "The largest weights of each head, a row a query; brighter is more";
      paintPatterns(trace);
      return;
    }
    const statistic = statisticNamed(trace, name);
    if (statistic !== null) {
      select.value = statistic.name;
      select.title = statistic.meaning;
      cells.flat().forEach((cell) => {
        cell.replaceChildren();
      });
      paint(trace, statistic, map);
    }
  }

  function mark(): void {
    const place = looking.place();
    for (const [row, line] of cells.entries()) {
      for (const [head, cell] of line.entries()) {
        const chosen = layers[row] === place?.layer && head === place?.head;
        cell.setAttribute("aria-selected", String(chosen));
        cell.setAttribute("tabindex", chosen ? "0" : "-1");
      }
    }
  }

  function describe(): void {
    const trace = looking.trace();
    const place = store.state.pointedHead ?? looking.place();
    if (trace !== null && place !== null) {
      const { statistic } = page.store.state;
      words.replaceChildren(
        ...headWords(trace, place, statistic === PATTERN ? null : statisticNamed(trace, statistic)),
      );
    }
  }

  function point(target: EventTarget | null): void {
    store.set({ pointedHead: placeOf(target) });
  }

  select.addEventListener("change", () => {
    page.store.set({ statistic: select.value });
    page.host.post({ type: "setStatistic", statistic: select.value });
  });
  grid.addEventListener("pointerover", (event) => {
    point(event.target);
  });
  grid.addEventListener("pointerleave", () => {
    point(null);
  });
  grid.addEventListener("click", (event) => {
    const place = placeOf(event.target);
    if (place !== null) {
      page.select({ ...place });
    }
  });
  grid.addEventListener("keydown", (event) => {
    const place = looking.place();
    const next = place === null ? null : movedHead(keyName(event), place, layers, cells[0]?.length ?? 0);
    if (next !== null) {
      event.preventDefault();
      page.select({ ...next });
      cells[layers.indexOf(next.layer)]?.[next.head]?.focus();
    }
  });

  page.store.subscribe((state, before) => {
    const trace = traceOf(state);
    if (trace === null) {
      return;
    }
    const opened = state.view !== before.view;
    if (opened) {
      pictures.open(trace);
      fill(trace);
    }
    if (opened || state.statistic !== before.statistic || state.map !== before.map) {
      colour(trace, state.statistic, state.map);
    }
    mark();
    describe();
  });
  store.subscribe((state, before) => {
    if (state.pointedHead !== before.pointedHead) {
      describe();
    }
  });
  const bar = element("div", { class: "bar" }, element("h2", {}, "Heads"), element("div", { class: "push" }, select));
  return element("section", { class: "overview", "aria-label": "Heads" }, bar, grid, legend, words);
}

function group(label: string, statistics: readonly Statistic[]): HTMLOptGroupElement {
  const options = statistics.map(({ name, label: text }) => element("option", { value: name }, text));
  return element("optgroup", { label }, ...options);
}

function cellOf(place: HeadPlace): HTMLElement {
  return element("span", {
    class: "head",
    role: "gridcell",
    tabindex: -1,
    "data-layer": place.layer,
    "data-head": place.head,
  });
}

function placeOf(target: EventTarget | null): HeadPlace | null {
  const cell = target instanceof Element ? target.closest<HTMLElement>(".head") : null;
  return cell === null ? null : { layer: Number(cell.dataset.layer), head: Number(cell.dataset.head) };
}

function unitOf({ unit }: Statistic): string {
  return unit === undefined || unit === "" ? "" : ` ${unit}`;
}

/** L3 H2 · Entropy 1.23 nats, and what the head does. */
function headWords(trace: TraceData, place: HeadPlace, statistic: Statistic | null): Node[] {
  const statistics = headStatistics(trace.analysis, place.layer, place.head);
  const role = bestRole(trace, statistics);
  const value =
    statistic === null ? "" : `${statistic.label} ${threeDigits(statistics?.[statistic.name])}${unitOf(statistic)}`;
  const does =
    role === null
      ? ""
      : role.clear
        ? `${role.statistic.label} ${threeDigits(role.value)}: ${role.statistic.role.words}`
        : `no clear role; most ${role.statistic.label.toLowerCase()}, ${threeDigits(role.value)}`;
  const parts = role !== null && role.statistic.name === statistic?.name ? [does] : [value, does];
  return [
    element("strong", {}, headName(place.layer, place.head)),
    element("span", { class: "muted" }, ` ${parts.filter((part) => part !== "").join(" · ")}`),
  ];
}
