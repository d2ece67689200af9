// What the text shows beside the shared selection: by what it is coloured, and with which tokens.

import { ColumnData } from "../matrix/column_data";
import type { AttentionState } from "../attention/attention_state";
import { traceOf } from "../common/page";
import { createStore, type Store } from "../common/store";
import { columnOf, columnWeights, rowWeights, textModeNamed, type TextMode, type Weights } from "./text_source";

export interface TextState {
  /** As chosen; see `mode` for what is shown. */
  mode: TextMode;
  hideSpecial: boolean;
  /** Counts columns that came. */
  arrivals: number;
}

export interface TextLooking {
  looking: AttentionState;
  store: Store<TextState>;
  /** Surprisal where no attention was captured. */
  mode: () => TextMode;
  /** The token that the colours are about. */
  source: () => number | null;
  /** null: nothing is chosen, or it has not come yet. */
  weights: () => Weights | null;
}

const MODE_KEY = "textMode";
const HIDE_KEY = "hideSpecial";

export function createTextLooking(looking: AttentionState): TextLooking {
  const { page } = looking;
  const store = createStore<TextState>({
    mode: textModeNamed(page.host.recall(MODE_KEY)),
    hideSpecial: page.host.recall(HIDE_KEY) === true,
    arrivals: 0,
  });
  const columns = new ColumnData(page.reads, (failure) => {
    store.set({ arrivals: store.state.arrivals + 1 });
    if (failure !== null) {
      looking.store.set({ failure });
    }
  });
  const text: TextLooking = {
    looking,
    store,
    mode: () => (looking.place() === null ? "surprisal" : store.state.mode),
    source: () => columnOf(text.mode(), looking.store.state.pointed, looking.lit()) ?? looking.lit(),
    weights: () => {
      const place = looking.place();
      const trace = looking.trace();
      const source = text.source();
      if (place === null || trace === null || source === null) {
        return null;
      }
      if (text.mode() === "to") {
        const values = columns.column(place, looking.store.state.look, source, trace.positions);
        return values === null ? null : columnWeights(values, source, looking.rows());
      }
      const { row } = looking.store.state;
      return row?.query === source ? rowWeights(row) : null;
    },
  };
  page.store.subscribe((state, before) => {
    if (state.view !== before.view) {
      columns.clear();
    }
    markColumn(text, traceOf(state) !== null);
  });
  looking.store.subscribe((state, before) => {
    if (state.failure === null && before.failure !== null) {
      columns.retry();
    }
    markColumn(text, true);
  });
  store.subscribe((state, before) => {
    if (state.mode !== before.mode) {
      page.host.keep(MODE_KEY, state.mode);
    }
    if (state.hideSpecial !== before.hideSpecial) {
      page.host.keep(HIDE_KEY, state.hideSpecial);
    }
    markColumn(text, true);
  });
  return text;
}

/** Tells the matrix which column it is. */
function markColumn({ looking, mode }: TextLooking, hasTrace: boolean): void {
  const { pointed, column } = looking.store.state;
  const shown = hasTrace ? columnOf(mode(), pointed, looking.lit()) : null;
  if (shown !== column) {
    looking.store.set({ column: shown });
  }
}
