// How attention is looked at: without the sink, weighted by values; and why not, where a trace holds none.

import type { TraceData } from "../../src/shared/messages";
import { element } from "../common/dom";
import { traceOf } from "../common/page";
import type { AttentionState } from "./attention_state";
import type { Look } from "./source";

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

export function lookBar({ page, store }: AttentionState): HTMLElement {
  const none = element(
    "span",
    { class: "muted", id: "no-values", hidden: true },
    "This trace holds no values; capture with the site value_norms.",
  );
  const [sink, sinkBox] = check("Hide sink", HIDE_SINK, (hideSink) => {
    store.set({ wantedLook: { ...store.state.wantedLook, hideSink } });
  });
  const [weighted, weightedBox] = check("Value-weighted", VALUE_WEIGHTED, (valueWeighted) => {
    store.set({ wantedLook: { ...store.state.wantedLook, valueWeighted } });
  });
  weightedBox.setAttribute("aria-describedby", "no-values");

  function show(): void {
    const trace = traceOf(page.store.state);
    const without = trace !== null && !hasValues(trace);
    none.hidden = !without;
    weightedBox.disabled = without;
    sinkBox.checked = store.state.look.hideSink;
    weightedBox.checked = store.state.look.valueWeighted;
  }

  page.store.subscribe((state, before) => {
    if (state.view !== before.view) {
      show();
    }
  });
  store.subscribe((state, before) => {
    if (state.look !== before.look) {
      show();
    }
  });
  return element("div", { class: "bar look" }, sink, weighted, none);
}

function check(label: string, title: string, changed: (checked: boolean) => void): [HTMLElement, HTMLInputElement] {
  const box = element("input", { type: "checkbox" });
  box.addEventListener("change", () => {
    changed(box.checked);
  });
  return [element("label", { class: "check", title }, box, label), box];
}
