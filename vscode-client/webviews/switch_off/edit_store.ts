// What is to be switched off in the trace on the page; kept per trace while the page lives and the window reloads.

import type { ViewState } from "../../src/shared/messages";
import { perTrace, type Keeper } from "../common/per_trace";
import { createStore, type Store } from "../common/store";
import { editName, keptEdits, toggled, type Edit } from "./edits";

export interface EditState {
  edits: readonly Edit[];
  /** The run under way. */
  running: boolean;
}

export interface EditStore {
  store: Store<EditState>;
  toggle: (edit: Edit) => void;
  reset: () => void;
}

const KEY = "switchedOff";

export function createEdits(
  host: Keeper,
  page: Pick<Store<{ view: ViewState }>, "subscribe">,
  announce: (text: string) => void,
): EditStore {
  const store = createStore<EditState>({ edits: [], running: false });
  const kept = perTrace(host, KEY);
  let traceId: string | null = null;

  function set(edits: readonly Edit[]): void {
    store.set({ edits });
    if (traceId !== null) {
      kept.keep(traceId, edits.map(editName));
    }
  }

  page.subscribe(({ view }) => {
    const id = view.kind === "trace" ? view.trace.summary.trace_id : traceId;
    if (id !== traceId && id !== null) {
      traceId = id;
      store.set({ edits: keptEdits(kept.recall(id)) });
    }
  });
  return {
    store,
    toggle: (edit) => {
      const before = store.state.edits.length;
      const edits = toggled(store.state.edits, edit);
      set(edits);
      announce(`${editName(edit)} switched ${edits.length > before ? "off" : "on"}`);
    },
    reset: () => {
      set([]);
      announce("Nothing is switched off");
    },
  };
}
