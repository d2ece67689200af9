// The matrices side by side: the chosen head's, several heads combined, and those that were pinned; one cursor in all.

import { element, iconButton, ICONS } from "../common/dom";
import { threeDigits } from "../common/number_text";
import { createStore } from "../common/store";
import type { AttentionState } from "./attention_state";
import { combinedSource, isSame, MOST_PINS, togglePin } from "./beside";
import { isMasked, columnsFor } from "../matrix/matrix_layout";
import { matrixPart, type Matrix, type Place } from "../matrix/matrix";
import { emptyPanel, panelData, readRow, type Panel, type PanelState } from "./panel";
import { spokenWeight } from "../matrix/row_values";
import { sourceKey, sourceName, type Source } from "../matrix/source";
import { keptViewport } from "../matrix/viewport";

const BELOW = { wide: 172, narrow: 100 }; // CSS pixels of a window's height that the matrices leave to the rest
const MOST_ABOVE = 140; // where more is above, the page scrolls
const LEAST_HEIGHT = 220;
const HEADER = 26;
const GAP = 12;
const NARROW = 560;

interface Shown {
  panel: Panel;
  matrix: Matrix;
  element: HTMLElement;
}

export interface Panels {
  element: HTMLElement;
  tools: HTMLElement;
  /** Brings a cell into the windows on all of them. */
  reveal: (query: number, key: number) => void;
  /** Those that are seen, the chosen head's first. */
  shown: () => { panel: Panel; source: Source }[];
  /** How many stand in a row. */
  columns: () => number;
}

export function panelsPart(looking: AttentionState): Panels {
  const { page, store } = looking;
  const viewport = keptViewport(page.host);
  const grid = element("div", { class: "panels" });
  let columns = 1;
  let rows = 1;
  const place: Place = {
    viewport,
    height: () => {
      const all = wholeHeight();
      const header = shownPanels().length > 1 ? HEADER : 0;
      return Math.max(LEAST_HEIGHT - header, Math.floor((all - GAP * (rows - 1)) / rows) - header);
    },
  };
  const all: Shown[] = [panelOf(looking.panel)];
  all.push(
    panelOf(
      otherPanel(looking, () => {
        const trace = looking.trace();
        return trace === null ? null : combinedSource(trace, store.state.beside, looking.place(), store.state.pins);
      }),
    ),
  );
  for (let index = 0; index < MOST_PINS; index++) {
    all.push(
      panelOf(
        otherPanel(looking, () => {
          const chosen = looking.place();
          return chosen === null ? null : (store.state.pins.filter((pin) => !isSame(pin, chosen))[index] ?? null);
        }),
      ),
    );
  }

  function panelOf(panel: Panel): Shown {
    const matrix = matrixPart(looking, panel, place);
    const made = element("div", { class: "panel" }, panelHeader(looking, panel), matrix.element);
    made.classList.toggle("main", panel === looking.panel);
    panel.store.subscribe(fitScale);
    return { panel, matrix, element: made };
  }

  function shownPanels(): Shown[] {
    return all.filter(({ panel }) => panel.source() !== null);
  }

  /** One scale for all, so that the same colour is the same weight. */
  function fitScale(): void {
    const known = shownPanels()
      .map(({ panel }) => panel.store.state)
      .filter(({ fitted }) => fitted > 0);
    if (known.length > 0) {
      const most = (of: (state: PanelState) => number): number => Math.max(...known.map(of));
      const limit = store.state.look.valueWeighted ? most(({ largest }) => largest) || 1 : 1;
      const top = most(({ fitted }) => fitted);
      if (top !== store.state.top || limit !== store.state.limit) {
        store.set({ top, limit });
      }
    }
  }

  /** What all of them together may take, so that what stands below them is in sight. */
  function wholeHeight(): number {
    const above = Math.min(MOST_ABOVE, grid.getBoundingClientRect().top + window.scrollY);
    const below = grid.clientWidth < NARROW ? BELOW.narrow : BELOW.wide;
    return Math.max(LEAST_HEIGHT, window.innerHeight - above - below);
  }

  function arrange(): void {
    const shown = shownPanels();
    const width = grid.clientWidth;
    columns = columnsFor(shown.length, width, wholeHeight());
    rows = Math.max(1, Math.ceil(shown.length / columns));
    grid.style.setProperty("--columns", String(columns));
    grid.classList.toggle("several", shown.length > 1);
    for (const one of all) {
      one.element.hidden = !shown.includes(one);
    }
    shown.forEach(({ matrix }) => {
      matrix.layout();
    });
    fitScale();
  }

  let arrangement = "";
  function arrangeAnew(): void {
    const now = shownPanels().length;
    if (arrangement !== `${now}`) {
      arrangement = `${now}`;
      arrange();
    }
  }

  new ResizeObserver(arrange).observe(grid);
  window.addEventListener("resize", arrange);
  page.store.subscribe((state, before) => {
    if (state.view !== before.view && state.view.kind === "trace") {
      viewport.open(state.view.trace.summary.trace_id);
      arrangement = "";
    }
    arrangeAnew();
  });
  store.subscribe((state, before) => {
    arrangeAnew();
    if (state.pointed?.by === "keyboard" && (state.row !== before.row || state.pointed !== before.pointed)) {
      sayCell(
        looking,
        shownPanels().map(({ panel }) => panel),
      );
    }
  });
  grid.append(...all.map((one) => one.element));
  return {
    element: grid,
    tools: all[0]?.matrix.tools ?? grid,
    reveal: (query, key) => {
      all[0]?.matrix.reveal(query, key);
    },
    columns: () => columns,
    shown: () =>
      shownPanels().flatMap(({ panel }) => {
        const source = panel.source();
        return source === null ? [] : [{ panel, source }];
      }),
  };
}

/** A panel with values of its own; it shows what `source` gives, which is looked at whenever something changes. */
function otherPanel(looking: AttentionState, source: () => Source | null): Panel {
  const { page, store: all, read } = looking;
  const store = createStore(emptyPanel());
  const data = panelData(page.reads, read, store, looking.lit);
  const panel: Panel = { source, data, store };
  let key = "";

  function follow(): void {
    const shown = source();
    const now = shown === null ? "" : sourceKey(shown, all.state.look);
    if (now !== key) {
      key = now;
      data.choose(shown, all.state.look);
      store.set(emptyPanel());
    }
    if (shown !== null) {
      readRow(looking, panel);
    }
  }

  page.store.subscribe((state, before) => {
    if (state.view !== before.view) {
      data.open(looking.trace()?.positions ?? 0);
      key = "";
    }
    follow();
  });
  all.subscribe(follow);
  store.subscribe((state, before) => {
    if (state.arrivals !== before.arrivals) {
      follow();
    }
  });
  return panel;
}

/** Which head it is, and its weight at the cursor; shown where there are several. */
function panelHeader(looking: AttentionState, panel: Panel): HTMLElement {
  const { page, store } = looking;
  const name = element("button", { type: "button", class: "panel-name", title: "Choose this head" });
  const title = element("span", { class: "panel-name" });
  const value = element("span", { class: "panel-value", "aria-hidden": "true" });
  const isMain = panel === looking.panel;
  const close = iconButton("Unpin", ICONS.close, () => {
    const source = panel.source();
    if (source?.combined !== undefined) {
      store.set({ beside: "nothing" });
    } else if (source !== null) {
      store.set({ pins: togglePin(store.state.pins, source) ?? store.state.pins });
    }
  });
  name.addEventListener("click", () => {
    const source = panel.source();
    if (source !== null) {
      page.select({ layer: source.layer, head: source.head });
    }
  });
  close.hidden = isMain;

  function show(): void {
    const source = panel.source();
    if (source === null) {
      return;
    }
    const isHead = source.combined === undefined && !isMain;
    name.hidden = !isHead;
    title.hidden = isHead;
    name.textContent = title.textContent = sourceName(source);
    const label = isHead ? `Unpin ${sourceName(source)}` : "Show no combination";
    close.title = label;
    close.setAttribute("aria-label", label);
    value.textContent = panel.store.state.failure ?? weightAt(looking, panel);
    value.classList.toggle("failed", panel.store.state.failure !== null);
  }

  page.store.subscribe(show);
  for (const changing of new Set([store, panel.store])) {
    changing.subscribe(show);
  }
  return element("div", { class: "panel-header" }, name, title, value, close);
}

/** The weight of the cell under the cursor; nothing where there is none. */
function weightAt(looking: AttentionState, { store, data }: Panel): string {
  const query = looking.lit();
  const key = looking.store.state.pointed?.key ?? null;
  if (query === null || key === null || isMasked(query, key, data.window)) {
    return "";
  }
  const { row } = store.state;
  const weight = row?.query === query ? row.values[key] : undefined;
  if (weight === undefined || row === null) {
    return "…";
  }
  return row.exact ? threeDigits(weight) : `≈ ${weight.toFixed(2)}`;
}

/** “gold” 4 to “of” 3: 0.824; with the other panels' weights where there are some. */
function sayCell({ page, store, trace }: AttentionState, panels: readonly Panel[]): void {
  const { pointed } = store.state;
  const shown = trace();
  if (pointed?.key == null || shown === null) {
    return;
  }
  const { query, key } = pointed;
  const weights = panels.flatMap((panel) => {
    const { row } = panel.store.state;
    const source = panel.source();
    const weight = row?.query === query && row.exact ? row.values[key] : undefined;
    return weight === undefined || source === null ? [] : [{ name: sourceName(source), weight }];
  });
  const [first, ...others] = weights;
  if (first === undefined) {
    return;
  }
  const cell = spokenWeight(shown.tokens, query, key, first.weight);
  page.announce([cell, ...others.map(({ name, weight }) => `${name} ${threeDigits(weight)}`)].join(", "));
}
