// How surprising the text was to the model, in two lines; the tokens it surprised most by are chosen from here.

import { element } from "../common/dom";
import { counted } from "../common/number_text";
import { traceOf, type Page } from "../common/page";
import { spokenToken } from "../common/token_text";
import { bitsText, surprisalSummary } from "../text/surprisal";

export function surprisalPart(page: Page): HTMLElement {
  const words = element("p", {});
  const name = element("span", {});
  const bits = element("span", { class: "muted" });
  const most = element("button", { type: "button", class: "head-button" }, name, " ", bits);
  const line = element("p", { class: "most" }, element("span", { class: "muted" }, "Most surprising "), most);
  let position = 0;
  most.addEventListener("click", () => {
    page.select({ token: position });
  });
  page.store.subscribe((state, before) => {
    const trace = traceOf(state);
    if (trace === null) {
      return;
    }
    if (state.view !== before.view) {
      const summary = surprisalSummary(trace.tokens);
      const mean = summary.mean === null ? "no logits were captured" : `mean ${bitsText(summary.mean)}`;
      words.textContent = `${counted(summary.count, "token")} written, ${mean}`;
      line.hidden = summary.most === null;
      if (summary.most !== null) {
        position = summary.most.position;
        name.textContent = `${spokenToken(summary.most)} ${position}`;
        bits.textContent = bitsText(summary.most.surprisal);
      }
    }
    most.setAttribute("aria-pressed", String(state.selection.token === position));
  });
  return element("section", { "aria-label": "Surprisal" }, element("h2", {}, "Surprisal"), words, line);
}
