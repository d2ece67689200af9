// What was likely at a position: the five that every trace's statistics have, and on request all that were captured.

import type { Alternative, TokenRow } from "../../src/protocol";
import type { TraceData } from "../../src/shared/messages";
import { css } from "../common/colour";
import { colourAt, type ColourMap } from "../common/colour_map";
import { element } from "../common/dom";
import { percent } from "../common/number_text";
import type { Page } from "../common/page";
import { capturedCount } from "./captured";
import { alternativeLabel } from "./fork";

const URGENCY = 3;

/** By trace and position: what was asked for before. */
const known = new WeakMap<TraceData, Map<number, readonly Alternative[]>>();

export function alternativesPart(page: Page, trace: TraceData, token: TokenRow, map: ColourMap): HTMLElement {
  const part = element("div", { class: "alternatives-part" });
  const count = capturedCount(trace, token.position);
  const show = (alternatives: readonly Alternative[]): void => {
    part.replaceChildren(
      tableOf(alternatives, token.id, map, (alternative) => alternativeLabel(page, trace, token, alternative)),
    );
    if (count > alternatives.length && !hasAll()) {
      part.append(moreButton());
    }
  };
  const hasAll = (): boolean => known.get(trace)?.has(token.position) === true;

  function moreButton(): HTMLElement {
    const label = `Show all ${count} captured`;
    const button = element("button", { type: "button", class: "more link" }, label, element("kbd", {}, "M"));
    button.addEventListener("click", () => {
      button.disabled = true;
      page.reads.ask({
        method: "get_alternatives",
        params: { position: token.position, count },
        urgency: URGENCY,
        done: ({ alternatives }) => {
          const found = known.get(trace) ?? new Map<number, readonly Alternative[]>();
          known.set(trace, found.set(token.position, alternatives));
          show(alternatives);
          page.announce(`${alternatives.length} candidates`);
        },
        failed: (message) => {
          button.replaceWith(element("p", { class: "failed", role: "alert" }, message));
        },
      });
    });
    return button;
  }

  show(known.get(trace)?.get(token.position) ?? token.top);
  return part;
}

type LabelOf = (alternative: Alternative) => Node;

function tableOf(alternatives: readonly Alternative[], chosen: number, map: ColourMap, labelOf: LabelOf): HTMLElement {
  const rows = alternatives.map((one) => rowOf(one, labelOf(one), one.token === chosen, map));
  const caption = element("caption", {}, "What was likely there");
  return element("table", { class: "alternatives" }, caption, element("tbody", {}, ...rows));
}

function rowOf({ probability }: Alternative, label: Node, chosen: boolean, map: ColourMap): HTMLElement {
  const share = probability ?? 0;
  const bar = element("span", { class: "likely-bar", "aria-hidden": "true" });
  bar.style.width = `${share * 100}%`;
  bar.style.backgroundColor = css(colourAt(map, 0.5));
  return element(
    "tr",
    chosen ? { class: "chosen" } : {},
    element("th", { scope: "row", class: "mono" }, label, chosen ? " ✓" : ""),
    element("td", {}, percent(probability)),
    element("td", { class: "likely", "aria-hidden": "true" }, bar),
  );
}
