// The page: who is compared, what happened to them, and the parts that show it.

import { announcer } from "../common/announcer";
import { comparisonReport } from "../../src/comparison";
import { comparedTitle } from "../../src/comparison_title";
import { element } from "../common/dom";
import { cellReadoutPart } from "./cell_readout";
import { createComparing, type Comparing, type CompareState } from "./compare_state";
import { divergencesPart } from "./divergences";
import { movedHead, headRows } from "./divergence_order";
import { headerPart } from "./header";
import { matricesPart } from "./matrices";
import { noticesPart } from "./notices";
import { pairTextPart } from "./pair_text";

export function runComparePage(): void {
  const root = document.getElementById("root") ?? document.body;
  const live = element("div", { class: "visually-hidden", "aria-live": "polite", role: "status" });
  const comparing = createComparing(announcer(live));
  const { host, store } = comparing;
  const heading = element("h1", { class: "visually-hidden" }, "Two traces");
  const waiting = element("div", { class: "notice", role: "status" });
  const copy = (): void => {
    const { state } = store;
    if (state.shown !== null) {
      host.post({ type: "copy", text: reportOf(state) });
      comparing.announce("Copied as Markdown");
    }
  };
  const figure = element("div", { class: "compare-figure" }, matricesPart(comparing), cellReadoutPart(comparing));
  const parts = element("div", { class: "compare-parts" }, pairTextPart(comparing), divergencesPart(comparing), figure);
  const content = element(
    "div",
    { class: "compare", hidden: true },
    headerPart(comparing, copy),
    noticesPart(comparing),
    parts,
  );
  root.replaceChildren(element("main", {}, heading, waiting, content), live);
  store.subscribe((state) => {
    const ready = state.shown !== null;
    content.hidden = !ready;
    waiting.hidden = ready;
    figure.hidden = state.place === null;
    parts.classList.toggle("texts-alone", state.place === null);
    root.setAttribute("aria-busy", String(!ready && state.failure === null));
    if (state.shown !== null) {
      heading.textContent = comparedTitle(state.shown.a.summary.prompt, state.shown.b.summary.prompt);
    } else {
      waiting.replaceChildren(...waitingFor(comparing, state));
    }
  });
  onHeadKeys(comparing);
  host.post({ type: "ready" });
}

/** Why there is nothing to show yet, or at all. */
function waitingFor({ host, retry }: Comparing, { sides, failure }: CompareState): HTMLElement[] {
  for (const side of ["one", "other"] as const) {
    const state = sides[side];
    if (state.kind === "failed") {
      const { action } = state;
      const buttons = [
        button("Choose Another", () => {
          host.post({ type: "choose", side });
        }),
        button("Try Again", () => {
          host.post({ type: "again" });
        }),
      ];
      if (action !== undefined) {
        buttons.push(
          button(action.label, () => {
            host.post({ type: "command", command: action.command });
          }),
        );
      }
      return [element("p", { class: "failed" }, state.message), element("div", { class: "bar" }, ...buttons)];
    }
  }
  if (failure !== null) {
    return [element("p", { class: "failed" }, failure), button("Try Again", retry)];
  }
  const what =
    sides.one.kind === "trace" && sides.other.kind === "trace" ? "Aligning the tokens…" : "Loading both traces…";
  return [element("div", { class: "progress", "aria-hidden": "true" }), element("p", {}, what)];
}

function button(label: string, pressed: () => void): HTMLButtonElement {
  const made = element("button", { type: "button", class: "primary" }, label);
  made.addEventListener("click", pressed);
  return made;
}

function reportOf({ shown, divergences }: CompareState): string {
  if (shown === null) {
    return "";
  }
  const layers = [...divergences].map(([layer, heads]) => ({ layer, heads: [...heads] }));
  const missing = shown.common.size - layers.length;
  const note = missing > 0 ? `The heads of ${missing} of ${shown.common.size} layers were not compared yet.` : "";
  return comparisonReport(
    { summary: shown.a.summary, tokens: shown.a.tokens },
    { summary: shown.b.summary, tokens: shown.b.tokens },
    { pairs: [...shown.pairs], layers: layers.sort((one, other) => one.layer - other.layer) },
    note,
  );
}

/** h, l and with Shift H, L: from head to head and layer to layer, wherever the focus is. */
function onHeadKeys({ store, choose, announce }: Comparing): void {
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof Element && event.target.matches("input, textarea, select");
    const { shown, place, divergences, order } = store.state;
    const isHeadKey = ["h", "H", "l", "L"].includes(event.key);
    if (typing || !isHeadKey || event.ctrlKey || event.metaKey || event.altKey || shown === null || place === null) {
      return;
    }
    const next = movedHead(event.key, place, headRows(shown.common, divergences, order));
    if (next !== null) {
      event.preventDefault();
      choose(next);
      announce(`L${next.layer}H${next.head}`);
    }
  });
}
