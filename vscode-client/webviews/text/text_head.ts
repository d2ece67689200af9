// Above and below the text: by what it is coloured, what the colours mean, what the marks mean.

import { gradient } from "../common/colour_map";
import { element } from "../common/dom";
import { threeDigits } from "../common/number_text";
import { scaleOf } from "../attention/attention_state";
import { shareOf } from "../matrix/value_scale";
import { mapShare, TICKS } from "./surprisal";
import type { TraceData } from "../../src/shared/messages";
import { surprisalMap } from "./text_colours";
import { TEXT_MODES, type TextMode } from "./text_source";
import type { TextLooking } from "./text_state";

const MEANINGS: Record<TextMode, string> = {
  from: "What the chosen token looks at: its row of the matrix",
  to: "Which later tokens look at the chosen one: its column of the matrix",
  surprisal: "How unexpected each token was to the model, in bits",
};

/** One of three. */
export function textSwitch(text: TextLooking): HTMLElement {
  const inputs = new Map<TextMode, HTMLInputElement>();
  const choices = (Object.keys(TEXT_MODES) as TextMode[]).map((mode) => {
    const input = element("input", { type: "radio", name: "text-mode", value: mode });
    input.addEventListener("change", () => {
      text.store.set({ mode });
    });
    inputs.set(mode, input);
    return element("label", { title: MEANINGS[mode] }, input, element("span", {}, TEXT_MODES[mode]));
  });
  const show = (): void => {
    const shown = text.mode();
    for (const [mode, input] of inputs) {
      input.checked = mode === shown;
      input.disabled = mode !== "surprisal" && text.looking.place() === null;
    }
  };
  text.store.subscribe(show);
  text.looking.page.store.subscribe(show);
  show();
  return element("div", { class: "switch", role: "radiogroup", "aria-label": "Colour the text by" }, ...choices);
}

/** The scale in use. */
export function textLegend(text: TextLooking): HTMLElement {
  const { page, store } = text.looking;
  const ramp = element("div", { class: "ramp" });
  const most = element("span");
  const weights = element("div", { class: "legend" }, element("span", {}, "0"), ramp, most);
  const bitsRamp = element("div", { class: "ramp" });
  const ticks = TICKS.map((bits) => element("span", {}, bits === TICKS.at(-1) ? `${bits}+ bits` : String(bits)));
  const bits = element("div", { class: "bits-legend" }, bitsRamp, element("div", { class: "bits-ticks" }, ...ticks));
  const paint = (): void => {
    const surprisal = text.mode() === "surprisal";
    weights.hidden = surprisal;
    bits.hidden = !surprisal;
    if (surprisal) {
      bitsRamp.style.backgroundImage = gradient(surprisalMap(page.store.state.theme), mapShare);
      return;
    }
    const scale = scaleOf(store.state);
    most.textContent = scale.name === "fitted" ? `${threeDigits(scale.top)}+` : "1";
    ramp.style.backgroundImage = gradient(page.store.state.map, (share) => shareOf(share * scale.top, scale));
  };
  page.store.subscribe(paint);
  text.store.subscribe(paint);
  store.subscribe((state, before) => {
    if (state.scale !== before.scale || state.top !== before.top) {
      paint();
    }
  });
  return element("div", { class: "text-legend", "aria-hidden": "true" }, weights, bits);
}

/** What the marks in this text mean. */
export function marksKey({ tokens }: Pick<TraceData, "tokens">): HTMLElement[] {
  const entry = (sign: string, text: string): HTMLElement =>
    element("span", {}, element("span", { class: `sign ${sign}`, "aria-hidden": "true" }), text);
  return [
    ...(tokens.some((token) => token.generated) ? [entry("written", "where the model begins to write")] : []),
    ...(tokens.some((token) => token.forced) ? [entry("forced", "chosen by the calculator")] : []),
  ];
}
