// What is told of a token under the mouse or the focus while the text is coloured by attention.

import type { TokenRow } from "../../src/protocol";
import { element } from "../common/dom";
import { threeDigits } from "../common/number_text";
import { shortLabel } from "../common/token_text";
import { tokenHead } from "./token_tip";
import type { TextLooking } from "./text_state";

export function weightParts(text: TextLooking, token: TokenRow): HTMLElement[] {
  const trace = text.looking.trace();
  const source = text.source();
  const chosen = source === null ? undefined : trace?.tokens[source];
  if (trace === null || source === null || chosen === undefined) {
    return [tokenHead(token)];
  }
  const to = text.mode() === "to";
  const [query, key] = to ? [token.position, source] : [source, token.position];
  const line = element("p", { class: "tip-weight" });
  if (token.position >= trace.positions) {
    line.append("It was never read by the model: it has no row.");
  } else if (key > query) {
    line.append(to ? "It comes before the chosen token." : "It comes after the chosen token: not seen.");
  } else if (token.position === source) {
    line.append(weightText(text, token.position, line), " on itself");
  } else {
    const other = element("span", { class: "mono" }, shortLabel(chosen));
    line.append(weightText(text, token.position, line), to ? " on " : " from ", other, ` ${source}`);
  }
  return [tokenHead(token), line];
}

function weightText(text: TextLooking, position: number, line: HTMLElement): HTMLElement {
  const weight = text.weights()?.(position);
  const exact = text.mode() === "to" || text.looking.store.state.row?.exact === true;
  if (weight !== undefined && exact) {
    line.dataset.value = String(weight);
  }
  const shown = weight === undefined ? "…" : exact ? threeDigits(weight) : `≈ ${weight.toFixed(2)}`;
  return element("strong", {}, shown);
}
