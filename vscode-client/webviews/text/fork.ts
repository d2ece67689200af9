// Another token in the place of one of the text, and on from there: by an alternative, and by f, which asks for a text.

import type { Alternative, TokenRow } from "../../src/protocol";
import { noForkWords } from "../../src/shared/fork_places";
import type { TraceData } from "../../src/shared/messages";
import { element } from "../common/dom";
import { traceOf, type Page } from "../common/page";
import { shortLabel, spokenText } from "../common/token_text";
import { TYPED } from "../heads/head_keys";

/** Of what could have come there; the token that came is no fork. */
export function alternativeLabel(
  page: Page,
  trace: TraceData,
  { position, id }: TokenRow,
  { token, text }: Alternative,
): Node {
  const label = shortLabel({ text });
  if (token === id || noForkWords(trace.summary, position) !== null) {
    return document.createTextNode(label);
  }
  const title = `Go on from here with ${spokenText(text)}, and compare`;
  const button = element("button", { type: "button", class: "fork link", title, "aria-label": title }, label);
  button.addEventListener("click", () => {
    fork(page, position, token);
  });
  return button;
}

/** Below what is told of a token: a text of one's own, or why there is none. */
export function forkPart(page: Page, trace: TraceData, { position }: TokenRow): HTMLElement {
  const refused = noForkWords(trace.summary, position);
  if (refused !== null) {
    return element("p", { class: "muted" }, refused);
  }
  const button = element(
    "button",
    { type: "button", class: "fork link" },
    "Go on with another text",
    element("kbd", {}, "F"),
  );
  button.addEventListener("click", () => {
    fork(page, position, null);
  });
  return button;
}

/** `place`: the token that f is about. */
export function onForkKey(page: Page, place: () => number | null): void {
  document.addEventListener("keydown", ({ key, ctrlKey, metaKey, altKey, target }) => {
    const typing = target instanceof Element && target.matches(TYPED);
    if (key === "f" && !typing && !ctrlKey && !metaKey && !altKey && traceOf(page.store.state) !== null) {
      fork(page, place(), null);
    }
  });
}

function fork({ host }: Page, position: number | null, token: number | null): void {
  host.post({ type: "fork", position, token });
}
