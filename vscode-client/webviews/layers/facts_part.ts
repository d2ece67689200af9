// Model, settings and timings as definition lists.

import { element } from "../common/dom";
import { traceOf, type Page } from "../common/page";
import { traceFacts, type Facts } from "./trace_facts";

export function factsPart(page: Page): HTMLElement {
  const groups = element("div", { class: "facts" });
  page.store.subscribe((state, before) => {
    const trace = traceOf(state);
    if (trace !== null && state.view !== before.view) {
      groups.replaceChildren(...traceFacts(trace).map(factGroup));
    }
  });
  return groups;
}

function factGroup({ title, rows }: Facts): HTMLElement {
  const list = element("dl");
  for (const [name, value] of rows) {
    list.append(element("dt", {}, name), element("dd", {}, value));
  }
  return element("section", { "aria-label": title }, element("h2", {}, title), list);
}
