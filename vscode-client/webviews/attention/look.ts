// How attention may be looked at, and which traces allow it.

import type { TraceData } from "../../src/shared/messages";
import type { Look } from "../matrix/source";

export const HIDE_SINK =
  "Leaves the first token out: A[i, j] / Σ A[i, k] over all k > 0, so that each row sums to 1 again";
export const VALUE_WEIGHTED =
  "A[i, j] · ‖v[j]‖: each weight times the norm of the key's value vector, of the head's key-value group";

/** Whether every layer with attention has values, or their norms, too. */
export function hasValues(trace: TraceData): boolean {
  const { tensors } = trace.summary.data_info;
  const has = (name: string): boolean => tensors[name] !== undefined;
  return trace.layers.every((layer) => has(`value_norms.layer_${layer}`) || has(`layer_activations.layer_${layer}.v`));
}

/** What of the wanted look a trace allows; `before` itself where nothing changes. */
export function lookAt(trace: TraceData | null, { hideSink, valueWeighted: wanted }: Look, before: Look): Look {
  const valueWeighted = wanted && trace !== null && hasValues(trace);
  const same = before.hideSink === hideSink && before.valueWeighted === valueWeighted;
  return same ? before : { hideSink, valueWeighted };
}

/** As it was kept. */
export function lookFrom(value: unknown): Look {
  const { hideSink, valueWeighted } = (value ?? {}) as Partial<Record<keyof Look, unknown>>;
  return { hideSink: hideSink === true, valueWeighted: valueWeighted === true };
}

/** What has been done to the weights, in words; nothing where they are as they are. */
export function lookWords({ hideSink, valueWeighted }: Look): string {
  return [hideSink ? "sink hidden" : "", valueWeighted ? "× ‖v‖" : ""].filter((part) => part !== "").join(", ");
}
