// The text, coloured by how surprising each token was; what else was likely is told of the one pointed at.

import type { TraceData } from "../../src/shared/messages";
import { css } from "../common/colour";
import { colourAt, colourMap, gradient, textAt, type ColourMap } from "../common/colour_map";
import { element } from "../common/dom";
import { traceOf, type Page } from "../common/page";
import { metricsOf } from "../common/statistics";
import { tokenList } from "../common/token_list";
import { marksKey } from "../text/text_head";
import { mapShare, surprisalShare, surprisalWordsOf, TICKS } from "./surprisal";
import { surprisalParts, tokenTip } from "./token_tip";

const MAP = "orange"; // another one than attention's, so that nobody takes the one for the other

export function surprisalTextPart(page: Page): HTMLElement {
  const tip = tokenTip();
  const list = tokenList("Text, coloured by surprisal", {
    point: (position, by) => {
      const trace = traceOf(page.store.state);
      const token = position === null ? undefined : trace?.tokens[position];
      const span = position === null ? undefined : list.spans[position];
      if (trace === null || token === undefined || span === undefined) {
        tip.leave(by);
      } else {
        tip.show(surprisalParts(page, trace, token, metricsOf(trace, "token"), map), span, by);
      }
    },
    choose: (position) => {
      const trace = traceOf(page.store.state);
      if (trace !== null && position < trace.positions) {
        page.select({ token: position });
      }
    },
  });
  const ramp = element("div", { class: "ramp" });
  const ticks = TICKS.map((bits) => element("span", {}, bits === TICKS.at(-1) ? `${bits}+ bits` : String(bits)));
  const legend = element(
    "div",
    { class: "bits-legend", "aria-hidden": "true" },
    ramp,
    element("div", { class: "bits-ticks" }, ...ticks),
  );
  const words = element("p", { class: "muted" });
  const key = element("p", { class: "key muted" });
  let map: ColourMap = page.store.state.map;

  function paint(trace: TraceData): void {
    map = colourMap(MAP, page.store.state.theme.ground);
    ramp.style.backgroundImage = gradient(map, mapShare);
    trace.tokens.forEach((token, position) => {
      const span = list.spans[position];
      if (span !== undefined) {
        const share = token.surprisal === null ? 0 : surprisalShare(token.surprisal);
        span.style.backgroundColor = share < 0.01 ? "" : css(colourAt(map, share));
        span.style.color = share < 0.01 ? "" : css(textAt(map, share));
      }
    });
  }

  page.store.subscribe((state, before) => {
    const trace = traceOf(state);
    if (trace === null) {
      tip.close();
      return;
    }
    if (state.view !== before.view) {
      tip.close();
      list.fill(trace.tokens);
      words.textContent = surprisalWordsOf(trace);
      key.replaceChildren(...marksKey(trace));
    }
    if (state.view !== before.view || state.theme !== before.theme) {
      paint(trace);
    }
    list.select(state.selection.token);
  });
  return element(
    "section",
    { class: "surprisal", "aria-label": "Surprisal" },
    element("div", { class: "bar" }, element("h2", {}, "Surprisal"), legend),
    words,
    list.element,
    key,
    tip.element,
  );
}
