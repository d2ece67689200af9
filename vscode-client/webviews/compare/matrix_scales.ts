// How the matrices are coloured: one scale for A and B, one that goes both ways for their difference.

import { SCALES, shareOf, type ScaleName } from "../matrix/value_scale";
import { gradient } from "../common/colour_map";
import { element } from "../common/dom";
import { threeDigits } from "../common/number_text";
import type { Comparing, CompareState } from "./compare_state";
import { divergingGradient } from "../common/diverging_map";
import type { Scales } from "./pictures";
import { DIFFERENCE, MINUS } from "./words";

const NAMES: Record<ScaleName, string> = { fitted: "Fitted", log: "Logarithmic", unit: "0 to 1" };

export function scalesOf({ scale, top, topDifference }: CompareState): Scales {
  const fitted = scale === "fitted";
  return {
    weights: { name: scale, top: fitted ? top : 1 },
    difference: { name: scale, top: fitted ? topDifference : 1 },
  };
}

export function scalePart({ store }: Comparing): HTMLElement {
  const options = Object.entries(NAMES).map(([value, text]) => element("option", { value }, text));
  const choice = element("select", { "aria-label": "Scale of the colours" }, ...options);
  const weights = legend("A and B");
  const difference = legend(DIFFERENCE);
  choice.addEventListener("change", () => {
    store.set({ scale: choice.value as ScaleName });
  });
  function paint(): void {
    const { map, diverging, scale } = store.state;
    const scales = scalesOf(store.state);
    choice.value = scale;
    choice.title = SCALES[scale];
    const more = scale === "fitted" ? "+" : "";
    weights.least.textContent = "0";
    weights.most.textContent = `${shortNumber(scales.weights.top)}${more}`;
    weights.ramp.style.backgroundImage = gradient(map, (share) => shareOf(share * scales.weights.top, scales.weights));
    const top = shortNumber(scales.difference.top);
    difference.least.textContent = `${MINUS}${top}${more}`;
    difference.most.textContent = `+${top}${more}`;
    difference.ramp.style.backgroundImage = divergingGradient(diverging, (share) =>
      shareOf(share * scales.difference.top, scales.difference),
    );
  }
  store.subscribe((state, before) => {
    const { scale, top, topDifference, map, diverging } = state;
    const rescaled = scale !== before.scale || top !== before.top || topDifference !== before.topDifference;
    if (rescaled || map !== before.map || diverging !== before.diverging || state.shown !== before.shown) {
      paint();
    }
  });
  return element("div", { class: "bar pair-scales" }, weights.element, difference.element, choice);
}

function shortNumber(value: number): string {
  return value === 1 ? "1" : threeDigits(value);
}

function legend(name: string) {
  const ramp = element("div", { class: "ramp" });
  const [least, most] = [element("span"), element("span")];
  const bar = element("div", { class: "legend", "aria-hidden": "true" }, least, ramp, most);
  const label = element("span", { class: "muted scale-name", "aria-hidden": "true" }, name);
  return { element: element("div", { class: "bar named-legend" }, label, bar), ramp, least, most };
}
