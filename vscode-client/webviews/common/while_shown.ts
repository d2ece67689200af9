// A store for a part that is hidden at times: it hears of changes while it is shown, and of all before when it comes back.

import type { Listener, Store } from "./store";

export interface WhileShown<S> {
  store: Store<S>;
  show: (shown: boolean) => void;
}

export function whileShown<S extends object>(store: Store<S>): WhileShown<S> {
  const listeners: Listener<S>[] = [];
  let told = store.state;
  let isShown = false;

  function tell(): void {
    const [now, before] = [store.state, told];
    if (isShown && now !== before) {
      told = now;
      for (const listener of listeners) {
        listener(now, before);
      }
    }
  }

  store.subscribe(tell);
  return {
    store: {
      get state() {
        return store.state;
      },
      set: store.set,
      subscribe: (listener) => {
        listeners.push(listener);
      },
    },
    show: (shown) => {
      isShown = shown;
      tell();
    },
  };
}
