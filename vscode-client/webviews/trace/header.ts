// What the trace is: prompt and response, model, settings, and what was captured.

import { element } from "../common/dom";
import { traceOf, type Page } from "../common/page";
import { runningText } from "../common/token_text";
import { headerFacts } from "./trace_words";

export function headerPart(page: Page): HTMLElement {
  const prompt = element("span", { class: "prompt" });
  const response = element("span", { class: "response" });
  const arrow = element("span", { class: "arrow muted", role: "img", "aria-label": "goes on with" }, "→");
  const what = element("p", { class: "what" }, prompt, " ", arrow, " ", response);
  const facts = element("dl", { class: "header-facts" });
  page.store.subscribe((state, before) => {
    const trace = traceOf(state);
    if (trace === null || state.view === before.view) {
      return;
    }
    const { summary } = trace;
    prompt.textContent = oneLine(summary.prompt);
    response.textContent = oneLine(summary.response);
    what.title = `${summary.prompt}\n→ ${summary.response}`;
    facts.replaceChildren(
      ...headerFacts(trace).map(({ name, text }) =>
        element(
          "div",
          { title: `${name}: ${text}` },
          element("dt", { class: "visually-hidden" }, name),
          element("dd", {}, text),
        ),
      ),
    );
  });
  return element("div", { class: "trace-what" }, what, facts);
}

function oneLine(text: string): string {
  return runningText(text.trim()).text;
}
