// What the lens shows: beliefs as they came, the chosen row, what is followed, how it is coloured.

import type { LensBelief, LensChance, PointName } from "../../src/protocol";
import type { TraceData } from "../../src/shared/messages";
import { traceOf, type Page } from "../common/page";
import { createStore, type Store } from "../common/store";
import type { Tab } from "../trace/tab";
import { asking, type Asking } from "../why/asking";
import { askedPosition } from "../why/place";
import { rowOfLayer } from "./lens_points";
import { missingPositions, windowStart } from "./lens_window";
import { followedIn, isMeasure, type MeasureName } from "./measures";

export interface LensPlace {
  row: number;
  position: number;
}

export interface LensState {
  points: readonly PointName[];
  /** By position, then by point. */
  beliefs: ReadonlyMap<number, readonly LensBelief[]>;
  row: number;
  pointed: LensPlace | null;
  measure: MeasureName;
  /** A token by its number, or a text that is one. */
  pin: number | string | null;
  start: number | null;
  columns: number;
}

export interface Lens {
  page: Page;
  store: Store<LensState>;
  asking: Asking<"logit_lens">;
  trace: () => TraceData | null;
  position: () => number;
  followed: (place: LensPlace) => LensChance | null;
  /** Chooses a cell, in all views where they have its layer. */
  choose: (place: LensPlace) => void;
  pin: (token: number | string | null) => void;
  /** Asks for what is in sight and not known. */
  ask: () => void;
  resize: (columns: number) => void;
}

const MEASURE_KEY = "lensMeasure";
const TOP = 10;
const LAYERS = 12; // of a model that the trace does not tell the depth of

export function createLens(page: Page, tab: Tab): Lens {
  const measure = page.host.recall(MEASURE_KEY);
  const store = createStore<LensState>({
    points: [],
    beliefs: new Map(),
    row: 0,
    pointed: null,
    measure: isMeasure(measure) ? measure : "probability",
    pin: null,
    start: null,
    columns: 0,
  });
  const asked = asking(page, "logit_lens");
  const trace = (): TraceData | null => traceOf(page.store.state);
  const position = (): number => {
    const shown = trace();
    return shown === null ? 0 : askedPosition(shown, page.store.state.selection);
  };

  function ask(): void {
    const shown = trace();
    const { columns, start, beliefs, points, pin } = store.state;
    if (shown === null || columns === 0 || start === null) {
      return;
    }
    const count = points.length === 0 ? expectedPoints(shown) : points.length;
    const missing = missingPositions(beliefs, [start, columns], shown.tokens.length, count);
    if (missing.length === 0) {
      return;
    }
    asked.ask({ positions: missing, top: TOP, tokens: pin === null ? [] : [pin] }, (result) => {
      const known = new Map(store.state.beliefs);
      missing.forEach((place, index) => {
        const column = result.points.map(({ positions }) => positions[index]);
        known.set(
          place,
          column.filter((belief) => belief !== undefined),
        );
      });
      const isFirst = store.state.points.length === 0;
      const names = result.points.map(({ layer, at, backout }) => ({ layer, at, backout }));
      const row = isFirst ? rowOfLayer(names, page.store.state.selection.layer) : store.state.row;
      store.set({ points: names, beliefs: known, row });
      ask();
    });
  }

  function forget(): void {
    asked.stop();
    store.set({ beliefs: new Map(), pointed: null });
  }

  function moveWindow(): void {
    const shown = trace();
    const { start, columns } = store.state;
    if (shown !== null && columns > 0) {
      store.set({ start: windowStart(start, columns, position(), shown.tokens.length) });
    }
  }

  page.store.subscribe((state, before) => {
    if (state.view !== before.view) {
      const same = traceOf(state)?.summary.trace_id === traceOf(before)?.summary.trace_id;
      forget();
      store.set({ points: [], ...(same ? {} : { pin: null, start: null }) });
    }
    const { points, row } = store.state;
    const { layer } = state.selection;
    if (layer !== before.selection.layer && points[row]?.layer !== layer && points.length > 0) {
      store.set({ row: rowOfLayer(points, layer) });
    }
    moveWindow();
    ask();
  });
  tab.onLeave(asked.stop);
  store.subscribe((state, before) => {
    if (state.measure !== before.measure) {
      page.host.keep(MEASURE_KEY, state.measure);
    }
  });
  return {
    page,
    store,
    asking: asked,
    trace,
    position,
    ask,
    followed: ({ row, position: place }) => {
      const belief = store.state.beliefs.get(place)?.[row];
      const hasWritten = trace()?.tokens[place + 1] !== undefined;
      return belief === undefined ? null : followedIn(belief, store.state.pin !== null, hasWritten);
    },
    choose: ({ row, position: place }) => {
      store.set({ row });
      const layer = store.state.points[row]?.layer ?? null;
      const layers = trace()?.layers ?? [];
      const isThere = layer !== null && (layers.length === 0 || layers.includes(layer));
      page.select({ token: place, ...(isThere ? { layer } : {}) });
    },
    pin: (token) => {
      const { measure: now, pin } = store.state;
      if (token !== pin) {
        forget();
        store.set({ pin: token, measure: token !== null && now !== "rank" ? "probability" : now });
        ask();
      }
    },
    resize: (columns) => {
      store.set({ columns });
      moveWindow();
      ask();
    },
  };
}

function expectedPoints({ summary: { model } }: TraceData): number {
  const config = model?.config;
  const layers = typeof config === "object" && config !== null && "n_layer" in config ? config.n_layer : null;
  return 2 + 2 * (typeof layers === "number" ? layers : LAYERS);
}
