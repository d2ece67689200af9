// What the attention view looks at beside the shared selection: the row pointed at, its values, how it is drawn.

import type { TraceData } from "../../src/shared/messages";
import { traceOf, type Page, type PageState } from "../common/page";
import { createStore, type Store } from "../common/store";
import { bestRole, headStatistics } from "../common/statistics";
import { HeadData } from "./head_data";
import { headName } from "../common/number_text";
import { shortLabel } from "../common/token_text";
import type { Pointed } from "./pointed";
import type { RowValues } from "./row_values";
import { litRow, rowsAfter, shownHead, type HeadPlace } from "./trace_heads";
import { codeTypeFor, SCALES, type Scale, type ScaleName } from "./value_scale";

export interface LookingState {
  pointed: Pointed | null;
  /** The head under the mouse or focused in the overview. */
  pointedHead: HeadPlace | null;
  scale: ScaleName;
  /** Of the fitted scale, for the head that is shown. */
  top: number;
  /** The lit row's values, roughly until the exact ones came. */
  row: RowValues | null;
  failure: string | null;
  /** The token whose column the text shows. */
  column: number | null;
  /** Counts arrivals of tiles. */
  arrivals: number;
}

export interface AttentionState {
  page: Page;
  store: Store<LookingState>;
  data: HeadData;
  trace: () => TraceData | null;
  /** The tokens as labels. */
  labels: () => readonly string[];
  place: () => HeadPlace | null;
  /** Rows computed up to the shown step. */
  rows: () => number;
  lit: () => number | null;
  /** After a failure. */
  retry: () => void;
}

const SCALE_KEY = "scale";

export function createLooking(page: Page): AttentionState {
  const store = createStore<LookingState>({
    pointed: null,
    pointedHead: null,
    scale: scaleNamed(page.host.recall(SCALE_KEY)),
    top: 1,
    row: null,
    failure: null,
    column: null,
    arrivals: 0,
  });
  const data = new HeadData(page.reads, {
    arrived: () => {
      store.set({ arrivals: store.state.arrivals + 1 });
    },
    row: (row) => {
      if (row.query === looking.lit()) {
        store.set({ row });
      }
    },
    failed: (failure) => {
      store.set({ failure });
    },
  });
  let labels: readonly string[] = [];
  const looking: AttentionState = {
    page,
    store,
    data,
    trace: () => traceOf(page.store.state),
    labels: () => labels,
    place: () => {
      const trace = looking.trace();
      return trace === null ? null : shownHead(trace, page.store.state.selection);
    },
    rows: () => {
      const trace = looking.trace();
      return trace === null ? 0 : rowsAfter(trace, page.store.state.selection.step);
    },
    lit: () => litRow(store.state.pointed?.query ?? null, page.store.state.selection, looking.rows()),
    retry: () => {
      store.set({ failure: null });
      readRow(looking);
    },
  };
  page.store.subscribe((state, before) => {
    if (state.view !== before.view) {
      labels = traceOf(state)?.tokens.map(shortLabel) ?? [];
    }
    follow(looking, state, before);
  });
  store.subscribe((state, before) => {
    if (state.pointed !== before.pointed || state.scale !== before.scale || state.arrivals !== before.arrivals) {
      readRow(looking);
    }
    if (state.scale !== before.scale) {
      page.host.keep(SCALE_KEY, state.scale);
    }
  });
  return looking;
}

function follow(looking: AttentionState, state: PageState, before: PageState): void {
  const trace = traceOf(state);
  const opened = state.view !== before.view;
  if (opened) {
    looking.data.open(trace?.positions ?? 0);
    looking.store.set({ pointed: null, pointedHead: null, row: null, failure: null });
  }
  if (trace === null) {
    return;
  }
  const { layer, head } = state.selection;
  if (opened || layer !== before.selection.layer || head !== before.selection.head) {
    const place = shownHead(trace, state.selection);
    performance.mark("nanoscope:head-chosen");
    looking.data.choose(place);
    looking.store.set({ row: null, failure: null });
    if (place !== null && !opened) {
      looking.page.announce(headSentence(trace, place));
    }
  }
  if (opened || state.selection !== before.selection) {
    readRow(looking);
  }
}

export function headSentence(trace: TraceData, place: HeadPlace): string {
  const role = bestRole(trace, headStatistics(trace.analysis, place.layer, place.head));
  const words = role?.clear === true ? role.statistic.role.words : "no clear role";
  return `${headName(place.layer, place.head)}: ${words}`;
}

function scaleNamed(name: unknown): ScaleName {
  return typeof name === "string" && name in SCALES ? (name as ScaleName) : "fitted";
}

/** How weights are coloured now. */
export function scaleOf({ scale, top }: LookingState): Scale {
  return { name: scale, top: scale === "fitted" ? top : 1 };
}

function readRow({ store, data, trace, lit }: AttentionState): void {
  const query = lit();
  const shown = trace();
  if (query === null || shown === null || store.state.failure !== null) {
    if (store.state.row !== null && query === null) {
      store.set({ row: null });
    }
    return;
  }
  const row = data.row(query, codeTypeFor(shown.positions, store.state.scale));
  const { row: before } = store.state;
  const known = before !== null && row !== null && before.query === row.query && before.exact && row.exact;
  if (!known || before.values !== row.values) {
    store.set({ row });
  }
}
