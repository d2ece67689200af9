// What a comparing page has and looks at, and how messages of the host change it.

import { compared, type ComparedRow } from "../../src/comparison";
import type { PositionPair } from "../../src/protocol";
import type {
  Change,
  FromComparePage,
  Places,
  SideName,
  SideState,
  ToComparePage,
} from "../../src/shared/compare_messages";
import type { TraceData } from "../../src/shared/messages";
import { HeadData } from "../matrix/head_data";
import type { HeadPlace } from "../heads/trace_heads";
import { SCALES, type ScaleName } from "../matrix/value_scale";
import { colourMap, DEFAULT_MAP, type ColourMap } from "../common/colour_map";
import { connectHost, type Host } from "../common/host";
import { createStore, type Store } from "../common/store";
import { readTheme, watchTheme, type Theme } from "../common/theme";
import { TraceReads } from "../common/trace_reads";
import { commonHeads, type Order } from "./divergence_order";
import { divergingMap, type DivergingMap } from "../common/diverging_map";
import { flipped, pairSpace, type PairSpace } from "./pair_space";

/** Both traces, as they are shown: A first. */
export interface Shown {
  a: TraceData;
  b: TraceData;
  pairs: readonly PositionPair[];
  rows: readonly ComparedRow[];
  space: PairSpace;
  /** By layer: how many heads both have. */
  common: ReadonlyMap<number, number>;
}

export interface Cursor {
  /** Places on the axis of pairs; `key` null: a token of the text. */
  query: number;
  key: number | null;
  by: "mouse" | "keyboard";
}

export interface CompareState {
  places: Places | null;
  sides: Record<SideName, SideState>;
  changes: Record<SideName, Change | null>;
  pairs: readonly PositionPair[] | null;
  divergences: ReadonlyMap<number, readonly (number | null)[]>;
  /** Why the tokens, heads or weights could not be read. */
  failure: string | null;
  shown: Shown | null;
  place: HeadPlace | null;
  pointedHead: HeadPlace | null;
  order: Order;
  cursor: Cursor | null;
  locked: number | null;
  scale: ScaleName;
  /** Of the fitted scale: of A and B, and of their difference. */
  top: number;
  topDifference: number;
  mapName: string;
  theme: Theme;
  map: ColourMap;
  diverging: DivergingMap;
  /** Counts arrivals of weights. */
  arrivals: number;
}

export interface Comparing {
  host: Host<FromComparePage, ToComparePage>;
  store: Store<CompareState>;
  /** A's weights and B's. */
  data: () => { a: HeadData; b: HeadData };
  announce: (text: string) => void;
  choose: (place: HeadPlace) => void;
  swap: () => void;
  retry: () => void;
}

const LOADING: SideState = { kind: "loading" };
const KEPT = "looking";
const CHANGED = "It has changed.";

export function createComparing(announce: (text: string) => void): Comparing {
  const host = connectHost<FromComparePage, ToComparePage>();
  const theme = readTheme();
  const kept = keptOf(host.recall(KEPT));
  const store = createStore<CompareState>({
    places: null,
    sides: { one: LOADING, other: LOADING },
    changes: { one: null, other: null },
    pairs: null,
    divergences: new Map(),
    failure: null,
    shown: null,
    place: kept.place,
    pointedHead: null,
    order: kept.order,
    cursor: null,
    locked: kept.locked,
    scale: kept.scale,
    top: 1,
    topDifference: 1,
    mapName: DEFAULT_MAP,
    theme,
    map: colourMap(DEFAULT_MAP, theme.ground),
    diverging: divergingMap(theme.ground),
    arrivals: 0,
  });
  const reads = (side: SideName): TraceReads =>
    new TraceReads((ask) => {
      if (ask.type === "read" && store.state.changes[side] !== null) {
        const answer = { type: "readFailed", request: ask.request, message: CHANGED } as const;
        queueMicrotask(() => {
          asked[side].answer(answer); // what is there now does not belong to what is shown
        });
      } else if (ask.type === "read" || ask.type === "cancelRead") {
        host.post({ type: "ask", side, ask });
      }
    });
  const arrived = (): void => {
    store.set({ arrivals: store.state.arrivals + 1 });
  };
  const failed = (failure: string): void => {
    if (failure !== CHANGED) {
      store.set({ failure });
    }
  };
  const asked: Record<SideName, TraceReads> = { one: reads("one"), other: reads("other") };
  const heads: Record<SideName, HeadData> = {
    one: new HeadData(asked.one, { arrived, row: arrived, failed }),
    other: new HeadData(asked.other, { arrived, row: arrived, failed }),
  };

  const comparing: Comparing = {
    host,
    store,
    announce,
    data: () =>
      store.state.places?.swapped === true ? { a: heads.other, b: heads.one } : { a: heads.one, b: heads.other },
    choose: (place) => {
      performance.mark("nanoscope:head-chosen");
      store.set({ place });
    },
    swap: () => {
      const { places } = store.state;
      if (places !== null) {
        const swapped = !places.swapped;
        take({ type: "places", places: { ...places, swapped } });
        host.post({ type: "swap", swapped });
      }
    },
    retry: () => {
      store.set({ failure: null });
      askNext();
      arrived();
    },
  };

  function take(message: ToComparePage): void {
    const { state } = store;
    switch (message.type) {
      case "settings":
        store.set({ mapName: message.colourMap, map: colourMap(message.colourMap, state.theme.ground) });
        break;
      case "places":
        host.keep("places", message.places);
        store.set({ places: message.places });
        derive();
        break;
      case "side":
        asked[message.side].clear();
        heads[message.side].open(message.state.kind === "trace" ? message.state.trace.positions : 0);
        store.set({
          sides: { ...state.sides, [message.side]: message.state },
          changes: { ...state.changes, [message.side]: null },
          pairs: null,
          divergences: new Map(),
          failure: null,
          cursor: null,
        });
        derive();
        askNext();
        break;
      case "changed":
        store.set({ changes: { ...state.changes, [message.side]: message.change } });
        break;
      case "back":
        comparing.retry();
        break;
      case "answer":
        asked[message.side].answer(message.answer);
        break;
      case "compared":
        if (message.layer === null) {
          store.set({ pairs: message.result.pairs });
          derive();
        } else {
          const divergences = new Map(state.divergences);
          message.result.layers.forEach(({ layer, heads: values }) => divergences.set(layer, values));
          store.set({ divergences });
        }
        askNext();
        break;
      case "notCompared":
        store.set({ failure: message.message });
        break;
    }
  }

  /** The tokens first, then the heads, a layer at a time. */
  function askNext(): void {
    const { sides, pairs, shown, divergences, failure, changes } = store.state;
    const stale = changes.one !== null || changes.other !== null;
    if (sides.one.kind !== "trace" || sides.other.kind !== "trace" || failure !== null || stale) {
      return;
    }
    if (pairs === null) {
      host.post({ type: "compare", layer: null });
      return;
    }
    const next = [...(shown?.common.keys() ?? [])].find((layer) => !divergences.has(layer));
    if (next !== undefined) {
      host.post({ type: "compare", layer: next });
    }
  }

  function derive(): void {
    const { sides, pairs, places, place, locked } = store.state;
    if (sides.one.kind !== "trace" || sides.other.kind !== "trace" || pairs === null) {
      store.set({ shown: null });
      return;
    }
    const swapped = places?.swapped === true;
    const [a, b] = swapped ? [sides.other.trace, sides.one.trace] : [sides.one.trace, sides.other.trace];
    const turned = swapped ? flipped(pairs) : pairs;
    const common = commonHeads(a, b);
    const space = pairSpace(turned, a.positions, b.positions);
    store.set({
      shown: { a, b, pairs: turned, rows: compared(a.tokens, b.tokens, { pairs: turned }), space, common },
      place: nearest(place, common),
      locked: locked !== null && locked < space.count ? locked : null,
    });
  }

  store.subscribe((state, before) => {
    if (state.place !== before.place || state.shown !== before.shown) {
      const known = state.shown === null ? null : state.place;
      heads.one.choose(known);
      heads.other.choose(known);
    }
    const { place, order, scale, locked } = state;
    if (place !== before.place || order !== before.order || scale !== before.scale || locked !== before.locked) {
      host.keep(KEPT, { place, order, scale, locked });
    }
  });
  watchTheme(() => {
    const changed = readTheme();
    const map = colourMap(store.state.mapName, changed.ground);
    store.set({ theme: changed, map, diverging: divergingMap(changed.ground) });
  });
  host.listen(take);
  return comparing;
}

/** The head that was looked at, or the nearest that both have. */
function nearest(place: HeadPlace | null, common: ReadonlyMap<number, number>): HeadPlace | null {
  const layers = [...common.keys()];
  const [first] = layers;
  if (first === undefined) {
    return null;
  }
  const wanted = place ?? { layer: first, head: 0 };
  const layer = layers.reduce((best, other) =>
    Math.abs(other - wanted.layer) < Math.abs(best - wanted.layer) ? other : best,
  );
  const heads = common.get(layer) ?? 1;
  const head = Math.max(0, Math.min(wanted.head, heads - 1));
  return layer === place?.layer && head === place.head ? place : { layer, head };
}

type Kept = Pick<CompareState, "place" | "order" | "scale" | "locked">;

function keptOf(value: unknown): Kept {
  const { place, order, scale, locked } = (value ?? {}) as Partial<Record<keyof Kept, unknown>>;
  const { layer, head } = (place ?? {}) as Partial<HeadPlace>;
  return {
    place: Number.isInteger(layer) && Number.isInteger(head) ? { layer: Number(layer), head: Number(head) } : null,
    order: order === "divergence" ? order : "layer",
    scale: typeof scale === "string" && scale in SCALES ? (scale as ScaleName) : "fitted",
    locked: Number.isInteger(locked) ? Number(locked) : null,
  };
}
