// The attention view: heads, the chosen head's matrix, its rows and the text.

import "../common/base.css";
import "../heads/overview.css";
import "./attention.css";
import "./panels.css";
import "../text/tip.css";
import "../text/text.css";
import { element } from "../common/dom";
import { threeDigits } from "../common/number_text";
import type { Part } from "../common/page";
import { gradient } from "../common/colour_map";
import { createLooking, scaleOf, type AttentionState } from "./attention_state";
import { onHeadKeys } from "../heads/head_keys";
import { noAttentionPart } from "../heads/no_attention";
import { headBar, pinHead } from "./head_bar";
import { lookBar } from "./look_bar";
import { outputMenu } from "./output_menu";
import { overviewPart } from "../heads/overview";
import { panelsPart } from "./panels";
import { readoutPart } from "./readout";
import { rowTablePart } from "./row_table";
import { stepperPart } from "./stepper";
import type { HeadPlace } from "../heads/trace_heads";
import { textPart } from "../text/text_part";
import { SCALES, shareOf, type ScaleName } from "../matrix/value_scale";

export const attentionView: Part = (page) => {
  const looking = createLooking(page);
  const panels = panelsPart(looking);
  const pin = (place: HeadPlace): void => {
    pinHead(looking, place);
  };
  onHeadKeys(looking, pin);
  const failure = failurePart(looking);
  const figure = element("section", { class: "figure", "aria-label": "Matrix" });
  panels.tools.append(outputMenu(looking, panels));
  const bar = headBar(looking, panels.tools);
  figure.append(bar, noticePart(looking), panels.element, failure, readoutPart(looking), stepperPart(looking));
  figure.append(legendPart(looking), lookBar(looking));
  const overview = overviewPart(looking, pin);
  const content = element(
    "div",
    { class: "attention-parts" },
    overview,
    figure,
    rowTablePart(looking),
    textPart(looking, panels.reveal),
  );
  page.store.subscribe(() => {
    content.classList.toggle("text-alone", looking.place() === null);
  });
  return element("div", { class: "attention" }, noAttentionPart(page), content);
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

function noticePart({ store }: AttentionState): HTMLElement {
  const part = element("p", { class: "muted", role: "status", hidden: true });
  store.subscribe(({ notice }) => {
    part.hidden = notice === "";
    part.textContent = notice;
  });
  return part;
}

/** What the colours mean, and on which scale. */
function legendPart({ page, store }: AttentionState): HTMLElement {
  const ramp = element("div", { class: "ramp" });
  const most = element("span");
  const legend = element("div", { class: "legend", "aria-hidden": "true" }, element("span", {}, "0"), ramp, most);
  const names: Record<ScaleName, string> = { fitted: "Fitted", log: "Logarithmic", unit: "0 to 1" };
  const options = Object.entries(names).map(([value, text]) => element("option", { value }, text));
  const choice = element("select", { "aria-label": "Scale of the colours" }, ...options);
  choice.addEventListener("change", () => {
    store.set({ scale: choice.value as ScaleName });
  });
  const paint = (): void => {
    const scale = scaleOf(store.state);
    choice.value = scale.name;
    choice.title = SCALES[scale.name];
    const shown = threeDigits(scale.top);
    most.textContent = scale.name === "fitted" ? `${shown}+` : scale.top === 1 ? "1" : shown;
    ramp.style.backgroundImage = gradient(page.store.state.map, (share) => shareOf(share * scale.top, scale));
  };
  page.store.subscribe(paint);
  store.subscribe((state, before) => {
    if (state.scale !== before.scale || state.top !== before.top || state.limit !== before.limit) {
      paint();
    }
  });
  return element("div", { class: "bar scale" }, legend, choice);
}
