// How large the cells are and which part is seen: of all matrices alike, kept for each trace.

import { perTrace, type Keeper } from "../common/per_trace";
import { createStore, type Store } from "../common/store";

const SETTLED = 150; // milliseconds after the last move before it is kept

/** `cell`: device pixels, null where all of the matrix is seen; `x`, `y`: the first position that is seen. */
export interface Viewport {
  cell: number | null;
  x: number;
  y: number;
}

export const WHOLE: Viewport = { cell: null, x: 0, y: 0 };

export interface KeptViewport {
  store: Store<Viewport>;
  /** Another trace: as it was looked at last. */
  open: (traceId: string) => void;
}

export function keptViewport(host: Keeper): KeptViewport {
  const store = createStore<Viewport>(WHOLE);
  const kept = perTrace(host, "viewport");
  let traceId: string | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function keep(): void {
    clearTimeout(timer);
    timer = undefined;
    if (traceId !== null) {
      kept.keep(traceId, store.state);
    }
  }

  store.subscribe(() => {
    clearTimeout(timer);
    timer = setTimeout(keep, SETTLED);
  });
  return {
    store,
    open: (id) => {
      if (timer !== undefined) {
        keep();
      }
      if (id !== traceId) {
        traceId = id;
        store.set(viewportFrom(kept.recall(id)));
      }
    },
  };
}

/** As it was kept; the whole matrix for anything else. */
export function viewportFrom(value: unknown): Viewport {
  const { cell, x, y } = (value ?? {}) as Partial<Viewport>;
  const isPlace = (place: unknown): place is number => typeof place === "number" && place >= 0 && place < 1e6;
  return typeof cell === "number" && cell > 0 && cell < 1000 && isPlace(x) && isPlace(y) ? { cell, x, y } : WHOLE;
}
