// How attention is looked at: without the sink, weighted by values; and why not, where a trace holds none.

import { element } from "../common/dom";
import { traceOf } from "../common/page";
import type { AttentionState } from "./attention_state";
import { hasValues, HIDE_SINK, VALUE_WEIGHTED } from "./look";

export function lookBar({ page, store }: AttentionState): HTMLElement {
  const none = element(
    "span",
    { class: "muted", id: "no-values", hidden: true },
    "This trace holds no values; capture it anew to have them (site value_norms).",
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
