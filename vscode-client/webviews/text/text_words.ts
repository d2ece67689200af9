// One line above the text: whose attention is shown, or how surprising the text was.

import { element } from "../common/dom";
import { shortLabel } from "../common/token_text";
import { surprisalWordsOf } from "../summary/surprisal";
import type { TextLooking } from "./text_state";

export function textWords(text: TextLooking): Node[] {
  const trace = text.looking.trace();
  if (trace === null) {
    return [];
  }
  const mode = text.mode();
  if (mode === "surprisal") {
    return [document.createTextNode(surprisalWordsOf(trace))];
  }
  const source = text.source();
  const token = source === null ? undefined : trace.tokens[source];
  if (source === null || token === undefined) {
    return [document.createTextNode("Point at a token; click to keep it.")];
  }
  const name = element(
    "span",
    { class: "chip" },
    element("span", { class: "mono" }, shortLabel(token)),
    element("small", {}, ` ${source}`),
  );
  return mode === "from"
    ? [name, document.createTextNode(" looks at")]
    : [document.createTextNode("Later tokens that look at "), name];
}
