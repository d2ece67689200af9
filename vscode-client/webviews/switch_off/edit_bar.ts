// What is switched off, in the page's header: run the trace without it, or switch all on again.

import { element } from "../common/dom";
import type { Page } from "../common/page";
import { editName, interventionsOf, offWords } from "./edits";

export function editBar(page: Page): HTMLElement {
  const { store, reset } = page.edits;
  const words = element("span", { class: "edit-words", role: "status" });
  const which = element("span", { class: "muted" });
  const run = element("button", { type: "button", class: "primary" }, "Run");
  const clear = element("button", { type: "button", class: "quiet" }, "Reset");
  const bar = element(
    "div",
    { class: "bar edit-bar", role: "group", "aria-label": "Switched off", hidden: true },
    words,
    which,
    run,
    clear,
  );
  run.title = "Writes the trace once more with the same seed, without these, and compares the two";
  run.addEventListener("click", () => {
    page.host.post({ type: "switchOff", interventions: interventionsOf(store.state.edits) });
  });
  clear.addEventListener("click", reset);
  page.host.listen((message) => {
    if (message.type === "running") {
      store.set({ running: message.running });
    }
  });
  store.subscribe(({ edits, running }) => {
    bar.hidden = edits.length === 0;
    words.textContent = edits.length === 0 ? "" : offWords(edits);
    which.textContent = edits.map(editName).join(", ");
    run.disabled = running;
    run.textContent = running ? "Running…" : "Run";
  });
  return bar;
}
