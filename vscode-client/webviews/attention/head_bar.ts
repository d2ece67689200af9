// The bar above the matrices: which head is chosen, whether it is pinned, and what is shown beside it.

import { element, icon, ICONS, setAttributes } from "../common/dom";
import { headName } from "../common/number_text";
import { traceOf } from "../common/page";
import { markOff } from "../switch_off/mark_off";
import { editName } from "../switch_off/edits";
import type { AttentionState } from "./attention_state";
import { BESIDES, besideWords, isSame, MOST_PINS, togglePin, type Beside } from "./beside";
import type { HeadPlace } from "../heads/trace_heads";

export function headBar(looking: AttentionState, tools: HTMLElement): HTMLElement {
  const { page, store } = looking;
  const name = element("h2", { class: "head-name" });
  const pin = element("button", { type: "button", class: "icon-button" }, icon(ICONS.pin));
  const off = element("button", { type: "button", class: "icon-button" }, icon(ICONS.off));
  off.addEventListener("click", () => {
    const place = looking.place();
    if (place !== null) {
      page.edits.toggle(place);
    }
  });
  const clear = element("button", { type: "button", class: "quiet" });
  const options = BESIDES.map((value) => element("option", { value }));
  const choice = element("select", {
    "aria-label": "Combine heads",
    title: "One more matrix, of several heads combined",
  });
  choice.append(...options);
  pin.addEventListener("click", () => {
    const place = looking.place();
    if (place !== null) {
      pinHead(looking, place);
    }
  });
  clear.addEventListener("click", () => {
    store.set({ pins: [] });
    page.announce("No head is pinned");
    pin.focus();
  });
  choice.addEventListener("change", () => {
    store.set({ beside: choice.value as Beside });
  });

  function show(): void {
    const place = looking.place();
    if (place === null || traceOf(page.store.state) === null) {
      name.textContent = "";
      return;
    }
    const { pins, beside } = store.state;
    name.textContent = headName(place.layer, place.head);
    const pinned = pins.some((one) => isSame(one, place));
    const label = `${pinned ? "Unpin" : "Pin"} ${headName(place.layer, place.head)} (p)`;
    setAttributes(pin, { "aria-pressed": String(pinned), title: label, "aria-label": label });
    name.dataset.edit = headName(place.layer, place.head);
    const isOff = page.edits.store.state.edits.some((edit) => editName(edit) === name.textContent);
    const offLabel = `Switch ${isOff ? "on" : "off"} ${name.textContent} (x)`;
    setAttributes(off, { "aria-pressed": String(isOff), title: offLabel, "aria-label": offLabel });
    markOff(bar, page.edits.store.state.edits);
    clear.hidden = pins.length === 0;
    clear.textContent = pins.length === 1 ? "Unpin 1 head" : `Unpin ${pins.length} heads`;
    for (const option of options) {
      const value = option.value as Beside;
      option.textContent = besideWords(value, place.layer);
      option.disabled = value.endsWith("pinned") && pins.length === 0;
    }
    choice.value = beside;
  }

  const bar = element("div", { class: "bar" }, name, pin, off, clear, choice, element("div", { class: "push" }, tools));
  page.store.subscribe(show);
  page.edits.store.subscribe(show);
  store.subscribe((state, before) => {
    if (state.pins !== before.pins || state.beside !== before.beside) {
      show();
    }
  });
  return bar;
}

/** Pins a head or lets go of it, and says so. */
export function pinHead({ page, store }: AttentionState, place: HeadPlace): void {
  const pins = togglePin(store.state.pins, place);
  const name = headName(place.layer, place.head);
  if (pins === null) {
    page.announce(`${MOST_PINS} heads are pinned; unpin one first`);
    store.set({ notice: `${MOST_PINS} heads are pinned: unpin one before ${name}.` });
    return;
  }
  const pinned = pins.length > store.state.pins.length;
  store.set({ pins, notice: "" });
  page.announce(pinned ? `${name} pinned` : `${name} not pinned any more`);
}
