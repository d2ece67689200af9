// A trace without attention: why there are no heads, and a click that captures its prompt again with them.

import { element } from "../common/dom";
import { traceOf, type Page } from "../common/page";

export function noAttentionPart(page: Page): HTMLElement {
  const text = element("p", {}, "This trace was captured without attention weights.");
  const again = element("button", { type: "button", class: "primary" }, "Capture Again with Attention");
  again.title = "Captures the same prompt with the same settings, and keeps attention weights";
  again.addEventListener("click", () => {
    page.host.post({ type: "captureAgain" });
  });
  const part = element("div", { class: "notice", hidden: true }, text, again);
  page.store.subscribe((state, before) => {
    if (state.view !== before.view) {
      part.hidden = traceOf(state)?.layers.length !== 0;
    }
  });
  return part;
}
