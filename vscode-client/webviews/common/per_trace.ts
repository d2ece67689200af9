// What a view keeps of each trace while it is hidden or the window reloads: of the last ones that were looked at.

const KEPT = 30; // traces

/** What outlives the page. */
export interface Keeper {
  recall: (key: string) => unknown;
  keep: (key: string, value: unknown) => void;
}

export interface PerTrace {
  recall: (traceId: string) => unknown;
  keep: (traceId: string, value: unknown) => void;
}

export function perTrace(host: Keeper, key: string): PerTrace {
  function all(): [string, unknown][] {
    const kept = host.recall(key);
    return Array.isArray(kept) ? kept.filter((one): one is [string, unknown] => Array.isArray(one)) : [];
  }
  return {
    recall: (traceId) => all().find(([id]) => id === traceId)?.[1],
    keep: (traceId, value) => {
      const others = all().filter(([id]) => id !== traceId);
      host.keep(key, [...others, [traceId, value]].slice(-KEPT));
    },
  };
}
