// The attention view: heads, the chosen head's matrix, its rows and the text.

import "../common/base.css";
import "./attention.css";
import "@vscode-elements/elements/dist/vscode-checkbox/index.js";
import type { VscodeCheckbox } from "@vscode-elements/elements/dist/vscode-checkbox/index.js";
import { element } from "../common/dom";
import { headName } from "../common/number_text";
import { traceOf, type Part } from "../common/page";
import { gradient } from "../common/colour_map";
import { colouredTextPart } from "./coloured_text";
import { createLooking, type AttentionState } from "./attention_state";
import { matrixPart } from "./matrix";
import { overviewPart } from "./overview";
import { readoutPart } from "./readout";
import { rowTablePart } from "./row_table";
import { stepperPart } from "./stepper";
import { shareOf } from "./value_scale";

export const attentionView: Part = (page) => {
  const looking = createLooking(page);
  const matrix = matrixPart(looking);
  const name = element("h2");
  const none = element("p", { class: "muted" }, "This trace was captured without attention weights.");
  const failure = failurePart(looking);
  const bar = element("div", { class: "bar" }, name, element("div", { class: "push" }, matrix.tools));
  const figure = element("section", { class: "figure", "aria-label": "Matrix" });
  figure.append(bar, matrix.element, failure, readoutPart(looking), stepperPart(looking), legendPart(looking));
  const overview = overviewPart(looking);
  const content = element(
    "div",
    { class: "attention-parts" },
    overview,
    figure,
    rowTablePart(looking),
    colouredTextPart(looking),
  );
  page.store.subscribe((state) => {
    const place = looking.place();
    const hasTrace = traceOf(state) !== null;
    none.hidden = !hasTrace || place !== null;
    content.hidden = place === null;
    name.textContent = place === null ? "" : headName(place.layer, place.head);
  });
  return element("div", { class: "attention" }, none, content);
};

function failurePart({ store, retry }: AttentionState): HTMLElement {
  const text = element("p", { class: "failed" });
  const button = element("button", { type: "button", class: "primary" }, "Try Again");
  button.addEventListener("click", retry);
  const part = element("div", { class: "notice", role: "alert", hidden: true }, text, button);
  store.subscribe(({ failure }) => {
    part.hidden = failure === null;
    text.textContent = failure ?? "";
  });
  return part;
}

/** The component fades its label, in light themes beyond what can be read. */
function readableLabel(): CSSStyleSheet {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(".label-inner { opacity: 1; }");
  return sheet;
}

/** What the colours mean, and whether faint weights are lifted. */
function legendPart({ page, store }: AttentionState): HTMLElement {
  const ramp = element("div", { class: "ramp" });
  const ticks = element("span", {}, "1");
  const legend = element("div", { class: "legend", "aria-hidden": "true" }, element("span", {}, "0"), ramp, ticks);
  const box: VscodeCheckbox = document.createElement("vscode-checkbox");
  box.label = "Enhance faint weights";
  box.title = "Colours on a logarithmic scale";
  void box.updateComplete.then(() => {
    box.shadowRoot?.adoptedStyleSheets.push(readableLabel());
  });
  box.addEventListener("change", () => {
    store.set({ faint: box.checked });
  });
  const paint = (): void => {
    const { faint } = store.state;
    box.checked = faint;
    ramp.style.backgroundImage = gradient(page.store.state.map, (share) => shareOf(share, faint));
  };
  page.store.subscribe(paint);
  store.subscribe((state, before) => {
    if (state.faint !== before.faint) {
      paint();
    }
  });
  return element("div", { class: "bar scale" }, legend, box);
}
