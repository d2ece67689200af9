// Above the lens: what colours its cells, the scale, and which token is followed.

import { element, iconButton, ICONS } from "../common/dom";
import { gradient } from "../common/colour_map";
import { tokenLabel } from "../common/token_text";
import { writtenAfter } from "../why/place";
import type { Lens } from "./lens_state";
import { isMeasure, MEASURES } from "./measures";

/** `most`: the value at the end of the scale. */
export function lensBar(lens: Lens, most: () => number): HTMLElement {
  const { page, store } = lens;
  const options = Object.entries(MEASURES).map(([value, { label }]) => element("option", { value }, label));
  const choice = element("select", { "aria-label": "Colour cells by" }, ...options);
  const ramp = element("div", { class: "ramp" });
  const [least, top] = [element("span"), element("span")];
  const legend = element("div", { class: "legend", "aria-hidden": "true" }, least, ramp, top);
  const what = element("span", { class: "lens-followed", role: "status" });
  const word = element("input", {
    type: "text",
    class: "field",
    placeholder: "Follow a word",
    "aria-label": "Follow a word: a text that is one token",
    maxlength: 1000,
  });
  const clear = iconButton("Follow the written token again", ICONS.close, () => {
    lens.pin(null);
    word.focus();
  });
  const form = element("form", { class: "bar" }, word, clear);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (word.value !== "") {
      lens.pin(word.value);
    }
  });
  choice.addEventListener("change", () => {
    if (isMeasure(choice.value)) {
      store.set({ measure: choice.value });
    }
  });

  function show(): void {
    const { measure, pin } = store.state;
    const trace = lens.trace();
    choice.value = measure;
    choice.title = MEASURES[measure].meaning;
    [least.textContent, top.textContent] = MEASURES[measure].ends(most());
    ramp.style.backgroundImage = gradient(page.store.state.map);
    clear.hidden = pin === null;
    const written = trace === null ? null : writtenAfter(trace, lens.position());
    const pinned = lens.followed({ row: store.state.row, position: lens.position() })?.text ?? String(pin);
    what.textContent =
      pin !== null
        ? `Follows ${tokenLabel({ text: pinned })} everywhere`
        : written === null
          ? "Nothing is written after the last token"
          : `Follows what was written: here ${tokenLabel(written)}`;
  }

  store.subscribe(show);
  page.store.subscribe(show);
  return element("div", { class: "bar lens-bar" }, choice, legend, what, element("div", { class: "push" }, form));
}
