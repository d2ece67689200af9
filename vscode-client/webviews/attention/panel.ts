// One matrix among those that are shown: what it shows, its values, and the row that all of them light.

import type { TraceReads } from "../common/trace_reads";
import type { Store } from "../common/store";
import type { AttentionState } from "./attention_state";
import { HeadData } from "../matrix/head_data";
import type { ReadWeights } from "../matrix/read_weights";
import type { RowValues } from "../matrix/row_values";
import type { Source } from "../matrix/source";
import { codeTypeFor } from "../matrix/value_scale";

export interface PanelState {
  /** The lit row's values, roughly until the exact ones came. */
  row: RowValues | null;
  failure: string | null;
  /** Counts arrivals of tiles. */
  arrivals: number;
  /** Where its own fitted scale would end, and its largest value. */
  fitted: number;
  largest: number;
}

export interface Panel {
  source: () => Source | null;
  data: HeadData;
  store: Store<PanelState>;
}

export function emptyPanel(): PanelState {
  return { row: null, failure: null, arrivals: 0, fitted: 0, largest: 0 };
}

export function panelData(
  reads: TraceReads,
  read: ReadWeights,
  store: Store<PanelState>,
  lit: () => number | null,
): HeadData {
  const events = {
    arrived: () => {
      store.set({ arrivals: store.state.arrivals + 1 });
    },
    row: (row: RowValues) => {
      if (row.query === lit()) {
        store.set({ row });
      }
    },
    failed: (failure: string) => {
      store.set({ failure });
    },
  };
  return new HeadData(reads, events, read);
}

/** Takes the lit row from what was read, and asks for what is missing. */
export function readRow({ trace, lit, store: all }: AttentionState, { store, data }: Panel): void {
  const query = lit();
  const shown = trace();
  if (query === null || shown === null || store.state.failure !== null) {
    if (store.state.row !== null && query === null) {
      store.set({ row: null });
    }
    return;
  }
  const { scale, look } = all.state;
  const row = data.row(query, codeTypeFor(shown.positions, scale, look.valueWeighted));
  const { row: before } = store.state;
  const known = before !== null && row !== null && before.query === row.query && before.exact && row.exact;
  if (!known || before.values !== row.values) {
    store.set({ row });
  }
}
