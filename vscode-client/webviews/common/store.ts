// One object of state and those who want to know when it changes.

export type Listener<S> = (state: S, before: S) => void;

export interface Store<S> {
  readonly state: S;
  set: (patch: Partial<S>) => void;
  subscribe: (listener: Listener<S>) => void;
}

/** Changes made in one go reach the listeners once, after it. */
export function createStore<S extends object>(initial: S): Store<S> {
  const listeners: Listener<S>[] = [];
  let state = initial;
  let told = initial;
  let waiting = false;

  function tell(): void {
    waiting = false;
    const before = told;
    told = state;
    for (const listener of listeners) {
      listener(told, before);
    }
  }

  return {
    get state() {
      return state;
    },
    set(patch) {
      state = { ...state, ...patch };
      if (!waiting) {
        waiting = true;
        queueMicrotask(tell);
      }
    },
    subscribe(listener) {
      listeners.push(listener);
    },
  };
}
