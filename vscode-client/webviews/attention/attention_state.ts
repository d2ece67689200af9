// What the attention view looks at beside the shared selection: the row pointed at, its values, how it is drawn.

import type { TraceData } from "../../src/shared/messages";
import { traceOf, type Page, type PageState } from "../common/page";
import { createStore, type Store } from "../common/store";
import { bestRole, headStatistics } from "../common/statistics";
import type { HeadData } from "../matrix/head_data";
import { ReadWeights } from "../matrix/read_weights";
import type { HeadLook, HeadPointing } from "../heads/head_look";
import { headName } from "../common/number_text";
import { shortLabel } from "../common/token_text";
import { pinsIn, type Beside } from "./beside";
import { emptyPanel, panelData, readRow, type Panel, type PanelState } from "./panel";
import { lookAt, lookFrom } from "./look";
import type { Pointed } from "./pointed";
import { perTrace, type PerTrace } from "../common/per_trace";
import { AS_IT_IS, type Look } from "../matrix/source";
import { litRow, rowsAfter, shownHead, type HeadPlace } from "../heads/trace_heads";
import { SCALES, type Scale, type ScaleName } from "../matrix/value_scale";

export interface LookingState extends HeadPointing, PanelState {
  pointed: Pointed | null;
  scale: ScaleName;
  /** Of the fitted scale, and the largest value there is: of all heads that are shown. */
  top: number;
  limit: number;
  /** How attention is looked at, and how it would be if the trace allowed it. */
  look: Look;
  wantedLook: Look;
  /** Heads that are combined in a matrix of their own. */
  beside: Beside;
  /** What could not be done, until something else is. */
  notice: string;
  /** The token whose column the text shows. */
  column: number | null;
}

export interface AttentionState extends HeadLook {
  store: Store<LookingState>;
  data: HeadData;
  /** The chosen head's. */
  panel: Panel;
  /** What has been read, for the data of other panels. */
  read: ReadWeights;
  pinsOf: PerTrace;
  /** The tokens as labels. */
  labels: () => readonly string[];
  /** Rows computed up to the shown step. */
  rows: () => number;
  lit: () => number | null;
  /** After a failure. */
  retry: () => void;
}

const SCALE_KEY = "scale";
const LOOK_KEY = "look";

export function createLooking(page: Page): AttentionState {
  const store = createStore<LookingState>({
    pointed: null,
    pointedHead: null,
    scale: scaleNamed(page.host.recall(SCALE_KEY)),
    top: 1,
    limit: 1,
    look: AS_IT_IS,
    wantedLook: lookFrom(page.host.recall(LOOK_KEY)),
    pins: [],
    beside: "nothing",
    notice: "",
    column: null,
    ...emptyPanel(),
  });
  const read = new ReadWeights();
  const data = panelData(page.reads, read, store, () => looking.lit());
  let labels: readonly string[] = [];
  const looking: AttentionState = {
    page,
    store,
    data,
    read,
    panel: { store, data, source: () => looking.place() },
    pinsOf: perTrace(page.host, "pins"),
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
      readRow(looking, looking.panel);
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
      readRow(looking, looking.panel);
    }
    if (state.look !== before.look) {
      looking.data.choose(looking.place(), state.look);
      store.set({ row: null, failure: null });
      readRow(looking, looking.panel);
    }
    if (state.wantedLook !== before.wantedLook) {
      page.host.keep(LOOK_KEY, state.wantedLook);
      store.set({ look: lookAt(looking.trace(), state.wantedLook, state.look) });
    }
    const id = looking.trace()?.summary.trace_id;
    if (state.pins !== before.pins && id !== undefined) {
      looking.pinsOf.keep(id, state.pins);
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
    const pins = trace === null ? [] : pinsIn(trace, looking.pinsOf.recall(trace.summary.trace_id));
    const look = lookAt(trace, looking.store.state.wantedLook, looking.store.state.look);
    looking.store.set({ look, pointed: null, pointedHead: null, row: null, failure: null, pins, notice: "" });
  }
  if (trace === null) {
    return;
  }
  const { layer, head } = state.selection;
  if (opened || layer !== before.selection.layer || head !== before.selection.head) {
    const place = shownHead(trace, state.selection);
    performance.mark("nanoscope:head-chosen");
    looking.data.choose(place, looking.store.state.look);
    looking.store.set({ row: null, failure: null });
    if (place !== null && !opened) {
      looking.page.announce(headSentence(trace, place));
    }
  }
  if (opened || state.selection !== before.selection) {
    readRow(looking, looking.panel);
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
export function scaleOf({ scale, top, limit }: LookingState): Scale {
  return { name: scale, top: scale === "fitted" ? top : limit, limit };
}
