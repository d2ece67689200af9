// All heads at once: each as a small picture, or as a cell coloured by a statistic. Arrow keys move the chosen one.

import type { TraceData } from "../../src/shared/messages";
import { css } from "../common/colour";
import { colourAt, gradient, type ColourMap } from "../common/colour_map";
import { HeadPictures } from "./head_pictures";
import { fillGrid } from "./head_grid";
import { drawPicture } from "./picture_drawing";
import { pictureSheet } from "./picture_sheet";
import { element } from "../common/dom";
import { headName, threeDigits } from "../common/number_text";
import { traceOf } from "../common/page";
import { bestRole, domainOf, headStatistics, statisticNamed, statisticsOf, type Statistic } from "../common/statistics";
import type { HeadLook } from "./head_look";
import { BY_LAYER, headMoved, headRows, placeKey, type HeadRow } from "./head_order";
import { cellOf, placeOf } from "./head_cells";
import { headPreview } from "./head_preview";
import { group, headWords, unitOf } from "./head_words";
import { keyName } from "../matrix/moves";
import { markOff } from "../switch_off/mark_off";
import type { HeadPlace } from "./trace_heads";

const PATTERN = "pattern";
const ORDER_KEY = "headOrder";

/** `pin`: on a page that shows heads side by side. */
export function overviewPart(looking: HeadLook, pin?: (place: HeadPlace) => void): HTMLElement {
  const { page, store } = looking;
  const pictures = new HeadPictures(page.reads, drawPictures);
  const select = element("select", { "aria-label": "Colour heads by" });
  const ramp = element("div", { class: "ramp" });
  const [least, most] = [element("span"), element("span")];
  const legend = element("div", { class: "legend", "aria-hidden": "true" }, least, ramp, most);
  const grid = element("div", { class: "heads sheet", role: "grid", "aria-label": "Heads" });
  const sheet = pictureSheet(grid);
  const words = element("p", { class: "head-words" });
  const orderSelect = element("select", { "aria-label": "Order of the heads" });
  const preview = headPreview();
  const cells = new Map<string, HTMLElement>();
  let rows: HeadRow[] = [];
  let marked: { chosen: HTMLElement | null; pinned: readonly HTMLElement[] } = { chosen: null, pinned: [] };
  const kept = page.host.recall(ORDER_KEY);
  let order = typeof kept === "string" ? kept : BY_LAYER;

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
    orderSelect.replaceChildren(
      element("option", { value: BY_LAYER }, "By layer"),
      ...statistics.map(({ name, label }) => element("option", { value: name }, `By ${label.toLowerCase()}`)),
    );
    if (order !== BY_LAYER && !statistics.some(({ name }) => name === order)) {
      order = BY_LAYER;
    }
    orderSelect.value = order;
    arrange(trace);
  }

  function arrange(trace: TraceData): void {
    rows = headRows(trace, order);
    cells.clear();
    sheet.clear();
    marked = { chosen: null, pinned: [] };
    for (const place of rows.flatMap(({ heads }) => heads)) {
      cells.set(placeKey(place), cellOf(place));
    }
    legend.style.setProperty("--heads", String(trace.heads));
    const first = order === BY_LAYER ? "Layer" : "Rank";
    fillGrid(grid, { first, heads: trace.heads, rows, cellAt });
  }

  function paint(trace: TraceData, statistic: Statistic, map: ColourMap): void {
    const places = rows.flatMap(({ heads }) => heads);
    const valueOf = ({ layer, head }: HeadPlace): number | null =>
      headStatistics(trace.analysis, layer, head)?.[statistic.name] ?? null;
    const [low, high] = domainOf(statistic, places.map(valueOf));
    for (const place of places) {
      const cell = cellAt(place);
      const value = valueOf(place);
      cell?.classList.toggle("unknown", value === null);
      if (cell !== undefined) {
        cell.style.backgroundColor = value === null ? "" : css(colourAt(map, (value - low) / (high - low)));
      }
      const name = `${headName(place.layer, place.head)}, ${statistic.label} ${threeDigits(value)}`;
      cell?.setAttribute("aria-label", name);
    }
    ramp.style.backgroundImage = gradient(map);
    least.textContent = threeDigits(low);
    const shown = threeDigits(high);
    const short = shown.includes(".") ? String(Number(shown)) : shown; // without zeros at its end
    most.textContent = `${short}${unitOf(statistic)}`;
  }

  function drawPictures(which: readonly number[]): void {
    const { map, statistic } = page.store.state;
    showPreview(preview.element.hidden ? null : store.state.pointedHead);
    if (statistic !== PATTERN) {
      return;
    }
    for (const place of rows.flatMap(({ heads }) => heads)) {
      const picture = which.includes(place.layer) ? pictures.of(place) : null;
      const cell = cellAt(place);
      if (picture !== null && cell !== undefined) {
        cell.classList.remove("unknown");
        sheet.put(cell, drawPicture(picture, map));
      }
    }
  }

  function cellAt(place: HeadPlace): HTMLElement | undefined {
    return cells.get(placeKey(place));
  }

  function paintPatterns(trace: TraceData): void {
    const places = rows.flatMap(({ heads }) => heads);
    for (const place of places) {
      const role = bestRole(trace, headStatistics(trace.analysis, place.layer, place.head));
      const words = role?.clear === true ? `, ${role.statistic.role.words}` : "";
      const cell = cellAt(place);
      cell?.classList.add("unknown");
      cell?.style.removeProperty("background-color");
      cell?.setAttribute("aria-label", headName(place.layer, place.head) + words);
    }
    pictures.want();
    drawPictures(places.map(({ layer }) => layer));
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
      sheet.clear();
      paint(trace, statistic, map);
    }
  }

  /** Touches the cells that change, of hundreds. */
  function mark(): void {
    const place = looking.place();
    const chosen = (place === null ? undefined : cellAt(place)) ?? null;
    const pinned = store.state.pins.flatMap((pin) => cellAt(pin) ?? []);
    if (marked.chosen !== chosen) {
      setChosen(marked.chosen, false);
      setChosen(chosen, true);
    }
    for (const cell of new Set([...marked.pinned, ...pinned])) {
      cell.classList.toggle("pinned", pinned.includes(cell));
    }
    marked = { chosen, pinned };
    markOff(grid, page.edits.store.state.edits);
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
    const place = placeOf(target);
    store.set({ pointedHead: place });
    showPreview(place);
  }

  function showPreview(place: HeadPlace | null): void {
    const trace = looking.trace();
    const cell = place === null ? undefined : cellAt(place);
    if (place === null || trace === null || cell === undefined) {
      preview.hide();
      return;
    }
    pictures.want();
    const { map, statistic } = page.store.state;
    const shown = statistic === PATTERN ? null : statisticNamed(trace, statistic);
    preview.show(grid, cell, pictures.of(place), map, headWords(trace, place, shown));
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
    if (place !== null && event.shiftKey) {
      pin?.(place);
    } else if (place !== null) {
      page.select({ ...place });
    }
  });
  orderSelect.addEventListener("change", () => {
    order = orderSelect.value;
    page.host.keep(ORDER_KEY, order);
    const trace = looking.trace();
    if (trace !== null) {
      arrange(trace);
      colour(trace, page.store.state.statistic, page.store.state.map);
      mark();
    }
  });
  grid.addEventListener("keydown", (event) => {
    const place = looking.place();
    if (event.key === " " && place !== null) {
      event.preventDefault();
      pin?.(place);
      return;
    }
    const next = place === null ? null : headMoved(keyName(event), rows, place);
    if (next !== null) {
      event.preventDefault();
      page.select({ ...next });
      cellAt(next)?.focus();
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
  page.edits.store.subscribe(mark);
  store.subscribe((state, before) => {
    if (state.pointedHead !== before.pointedHead) {
      describe();
    }
    if (state.pins !== before.pins) {
      mark();
    }
  });
  const bar = element(
    "div",
    { class: "bar" },
    element("h2", {}, "Heads"),
    element("div", { class: "push" }, orderSelect, select),
  );
  const pictured = element("div", { class: "heads-sheet" }, grid, sheet.element);
  const parts = [bar, pictured, legend, words, preview.element];
  return element("section", { class: "overview", "aria-label": "Heads" }, ...parts);
}

function setChosen(cell: HTMLElement | null, chosen: boolean): void {
  cell?.setAttribute("aria-selected", String(chosen));
  cell?.setAttribute("tabindex", chosen ? "0" : "-1");
}
