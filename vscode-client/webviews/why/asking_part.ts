// How it stands with a question: being computed, failed and what can be done, or answered by another model.

import { element } from "../common/dom";
import { traceOf, type Page } from "../common/page";
import type { Asking, WhyMethod } from "./asking";

const SLOW_MS = 150; // before that, an answer comes without a word

/** `again`: asks what is shown. */
export function askingPart<M extends WhyMethod>(
  page: Page,
  { store, retry }: Asking<M>,
  again: () => void,
): HTMLElement {
  const progress = element("div", { class: "progress", "aria-hidden": "true" });
  const busy = element("div", { class: "why-busy", hidden: true }, progress, element("p", {}, "Being computed…"));
  const failure = element("p", { class: "failed" });
  const buttons = element("div", { class: "bar" });
  const failed = element("div", { class: "notice", role: "alert", hidden: true }, failure, buttons);
  const other = element("p", { class: "why-other muted", hidden: true });
  let slow: ReturnType<typeof setTimeout> | undefined;

  const button = (label: string, pressed: () => void): HTMLButtonElement => {
    const made = element("button", { type: "button", class: "primary" }, label);
    made.addEventListener("click", pressed);
    return made;
  };
  const ask = (anyway: boolean) => (): void => {
    retry(anyway);
    again();
  };
  const captureAgain = (): void => {
    page.host.post({ type: "captureAgain" });
  };
  const chooseModel = (): void => {
    page.host.post({ type: "command", command: "nanoscope.chooseModel", arguments: [] });
  };

  function buttonsFor(name: string): HTMLButtonElement[] {
    if (name === "OTHER_MODEL") {
      return [button("Ask This Model Anyway", ask(true)), button("Capture Again…", captureAgain)];
    }
    const others = name.startsWith("MODEL_") ? [button("Choose Model", chooseModel)] : [];
    return [button("Try Again", ask(false)), ...others];
  }

  store.subscribe((state, before) => {
    if (state.busy !== before.busy) {
      clearTimeout(slow);
      busy.hidden = true;
      if (state.busy) {
        slow = setTimeout(() => {
          busy.hidden = false;
          page.announce("Being computed");
        }, SLOW_MS);
      }
    }
    failed.hidden = state.failure === null;
    if (state.failure !== null && state.failure !== before.failure) {
      failure.textContent = state.failure.message;
      buttons.replaceChildren(...buttonsFor(state.failure.name));
    }
    other.hidden = state.otherModel === null;
    other.textContent = state.otherModel === null ? "" : `Another model answers. ${state.otherModel}`;
  });
  return element("div", { class: "why-asking" }, busy, failed, other);
}

/** A trace that has no tokens can be asked nothing. */
export function noTokensPart(page: Page): HTMLElement {
  const again = element("button", { type: "button", class: "primary" }, "Capture Again…");
  again.addEventListener("click", () => {
    page.host.post({ type: "captureAgain" });
  });
  const text = element("p", {}, "This trace does not hold its tokens, which the model would have to read again.");
  const part = element("div", { class: "notice", hidden: true }, text, again);
  page.store.subscribe((state) => {
    part.hidden = traceOf(state)?.tokens.length !== 0;
  });
  return part;
}
