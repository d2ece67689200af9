// One line above the text: whose attention is shown, or how surprising the text was.

import { element } from "../common/dom";
import { shortLabel } from "../common/token_text";
import { hasSurprisal, surprisalWordsOf } from "./surprisal";
import type { TextLooking } from "./text_state";

function settingsButton({ looking }: TextLooking): HTMLElement {
  const button = element("button", { type: "button", class: "link" }, "Capture settings");
  button.addEventListener("click", () => {
    looking.page.host.post({ type: "command", command: "nanoscope.openSettings" });
  });
  return element("span", {}, " · ", button);
}

export function textWords(text: TextLooking): Node[] {
  const trace = text.looking.trace();
  if (trace === null) {
    return [];
  }
  const mode = text.mode();
  if (mode === "surprisal") {
    const words = document.createTextNode(surprisalWordsOf(trace));
    return hasSurprisal(trace) ? [words] : [words, settingsButton(text)];
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
