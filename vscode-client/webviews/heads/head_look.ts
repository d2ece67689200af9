// What it takes to show the heads of a trace: the chosen one, and the one pointed at.

import type { TraceData } from "../../src/shared/messages";
import { traceOf, type Page } from "../common/page";
import { createStore, type Store } from "../common/store";
import { shownHead, type HeadPlace } from "./trace_heads";

export interface HeadPointing {
  /** The head under the mouse or focused in the overview. */
  pointedHead: HeadPlace | null;
  /** Heads that stay beside the chosen one, in the order in which they were pinned. */
  pins: readonly HeadPlace[];
}

export interface HeadLook {
  page: Page;
  store: Store<HeadPointing>;
  trace: () => TraceData | null;
  place: () => HeadPlace | null;
}

/** Of a page without a matrix. */
export function headLook(page: Page): HeadLook {
  const trace = (): TraceData | null => traceOf(page.store.state);
  return {
    page,
    store: createStore<HeadPointing>({ pointedHead: null, pins: [] }),
    trace,
    place: () => {
      const shown = trace();
      return shown === null ? null : shownHead(shown, page.store.state.selection);
    },
  };
}
