// What is selected, here and in the other views: changes are numbered, so that an old echo is known from a new one.

import type { FromView, Selection } from "../../src/shared/messages";

interface Selected {
  readonly state: { selection: Selection };
  set: (change: { selection: Selection }) => void;
}

export interface SharedSelection {
  select: (change: Partial<Selection>) => void;
  /** What the host says is selected; `change`: the last change of this view that it knows. */
  take: (selection: Selection, change: number) => void;
  /** The same of another trace, whose token and step these are. */
  open: (selection: Selection, change: number) => void;
}

/** Changes here take effect at once, and an echo from before the last of them undoes none. */
export function selectionOf(host: { post: (message: FromView) => void }, store: Selected): SharedSelection {
  let pending: Partial<Selection> | null = null;
  let number = 0;
  return {
    select: (change) => {
      store.set({ selection: { ...store.state.selection, ...change } });
      if (pending === null) {
        number++;
        queueMicrotask(() => {
          const { traceId } = store.state.selection;
          host.post({ type: "select", traceId, change: pending ?? {}, number });
          pending = null;
        });
      }
      pending = { ...pending, ...change };
    },
    open: (selection, change) => {
      const { layer, head } = change >= number ? selection : store.state.selection;
      store.set({ selection: { ...selection, layer, head } });
    },
    take: (selection, change) => {
      if (change >= number) {
        store.set({ selection });
      }
    },
  };
}
