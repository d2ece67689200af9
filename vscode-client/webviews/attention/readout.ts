// One line: which query looks at which key, and with how much weight.

import { element } from "../common/dom";
import { threeDigits } from "../common/number_text";
import type { AttentionState } from "./attention_state";
import { lookWords } from "./look";

export function readoutPart(looking: AttentionState): HTMLElement {
  const { page, store } = looking;
  const line = element("p", { class: "readout", "aria-hidden": "true" });

  function show(): void {
    const trace = looking.trace();
    const lit = looking.lit();
    const { pointed, row } = store.state;
    delete line.dataset.value;
    if (trace === null || lit === null) {
      line.replaceChildren(element("span", { class: "muted" }, "Point at a cell, or at a token of the text."));
      return;
    }
    const key = pointed?.key ?? null;
    if (key === null) {
      const next = trace.tokens[lit + 1];
      line.replaceChildren(
        chip(looking.labels(), lit),
        element("span", { class: "muted" }, next === undefined ? "" : " then "),
        ...(next === undefined ? [] : [chip(looking.labels(), lit + 1)]),
      );
      return;
    }
    line.replaceChildren(
      chip(looking.labels(), lit),
      " → ",
      chip(looking.labels(), key),
      weight(lit, key, row?.query === lit),
      element("span", { class: "muted" }, lookWords(store.state.look)),
    );
  }

  function weight(query: number, key: number, ready: boolean): HTMLElement {
    const { row } = store.state;
    if (key > query || key < query - looking.data.window) {
      return element("span", { class: "weight muted" }, key > query ? "later" : "outside the window");
    }
    if (key === 0 && store.state.look.hideSink) {
      return element("span", { class: "weight muted" }, "hidden");
    }
    const value = ready ? row?.values[key] : undefined;
    if (value === undefined || row === null) {
      return element("span", { class: "weight muted" }, "…");
    }
    if (row.exact) {
      line.dataset.value = String(value);
    }
    return element("span", { class: "weight" }, row.exact ? threeDigits(value) : `≈ ${value.toFixed(2)}`);
  }

  page.store.subscribe(show);
  store.subscribe(show);
  return line;
}

function chip(labels: readonly string[], position: number): HTMLElement {
  return element(
    "span",
    { class: "chip" },
    element("span", { class: "mono" }, labels[position] ?? ""),
    element("small", { class: "muted" }, ` ${position}`),
  );
}
