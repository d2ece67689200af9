// Who is compared: both prompts and responses, what differs in model and settings, and what can be done with both.

import type { TraceData } from "../../src/shared/messages";
import type { SideName } from "../../src/shared/compare_messages";
import { element } from "../common/dom";
import { counted } from "../common/number_text";
import type { Comparing, Shown } from "./compare_state";
import { factsOf, type Fact } from "./facts";
import { countsOf } from "./pair_space";

export function headerPart(comparing: Comparing, copy: () => void): HTMLElement {
  const { host, store, swap } = comparing;
  const traces = element("div", { class: "compared" });
  const verdict = element("p", { class: "verdict" });
  const different = element("table", { class: "facts" });
  const alike = element("p", { class: "muted facts-alike" });
  const swapButton = tool("Swap", "Shows A as B, and B as A", () => {
    swap();
    comparing.announce("Swapped");
  });
  const copied = tool("Copy as Markdown", "Both, token by token, as a Markdown page", copy);
  const bar = element(
    "div",
    { class: "bar compare-tools" },
    verdict,
    element("div", { class: "push bar" }, swapButton, copied),
  );

  function fill(shown: Shown): void {
    const side = (letter: "A" | "B"): SideName => {
      const swapped = store.state.places?.swapped === true;
      return (letter === "A") === swapped ? "other" : "one";
    };
    traces.replaceChildren(
      traceLine("A", shown.a, () => {
        host.post({ type: "open", side: side("A") });
      }),
      traceLine("B", shown.b, () => {
        host.post({ type: "open", side: side("B") });
      }),
    );
    verdict.textContent = verdictOf(shown);
    const facts = factsOf(shown.a.summary, shown.b.summary);
    different.replaceChildren(...tableOf(facts.filter(({ differs }) => differs)));
    different.hidden = !facts.some(({ differs }) => differs);
    const same = facts.filter(({ differs }) => !differs).map(({ name, a }) => `${name.toLowerCase()} ${a}`);
    alike.textContent = same.length === 0 ? "" : `Alike: ${same.join(" · ")}`;
    alike.hidden = same.length === 0;
  }

  store.subscribe((state, before) => {
    if (state.shown !== null && state.shown !== before.shown) {
      fill(state.shown);
    }
  });
  return element("header", { class: "compare-header" }, traces, bar, different, alike);
}

function traceLine(letter: "A" | "B", trace: TraceData, open: () => void): HTMLElement {
  const { prompt, response, trace_id: id, timestamp } = trace.summary;
  const name = element(
    "button",
    { type: "button", class: "side-name", title: `Open ${id}`, "aria-label": `${letter}: open ${id}` },
    letter,
  );
  name.addEventListener("click", open);
  return element(
    "div",
    { class: "compared-trace", title: `${prompt}\n→ ${response}\n${id}, ${timestamp}` },
    name,
    element(
      "p",
      { class: "compared-text" },
      element("bdi", { class: "prompt" }, onOneLine(prompt) || "(no prompt)"),
      element("span", { class: "muted" }, " → "),
      element("bdi", { class: "response" }, onOneLine(response) || "(no response)"),
    ),
  );
}

const LONGEST = 400;

function onOneLine(text: string): string {
  const line = text
    .slice(0, LONGEST * 4)
    .replace(/\s+/g, " ")
    .trim();
  return line.length > LONGEST ? `${line.slice(0, LONGEST - 1)}…` : line;
}

/** How far the texts are the same. */
export function verdictOf({ pairs, a, b }: Pick<Shown, "pairs" | "a" | "b">): string {
  const { same, changed, onlyA, onlyB } = countsOf(pairs);
  const differing = [
    changed > 0 ? `${changed} changed` : "",
    onlyA > 0 ? `${onlyA} only in A` : "",
    onlyB > 0 ? `${onlyB} only in B` : "",
  ].filter((text) => text !== "");
  if (a.summary.trace_id === b.summary.trace_id && differing.length === 0) {
    return `The same trace twice: ${counted(same, "token")}, nothing differs.`;
  }
  if (differing.length === 0) {
    return `The texts are the same: ${counted(same, "token")}.`;
  }
  const shared = pairs.some((pair) => pair.same && !a.tokens[pair.a ?? 0]?.text.startsWith("<|"));
  return shared
    ? `${counted(same, "equal token")}, ${differing.join(", ")}.`
    : `The texts have no token in common: ${differing.join(", ")}, side by side in their order.`;
}

function tableOf(facts: readonly Fact[]): HTMLElement[] {
  const head = element(
    "tr",
    {},
    element("th", { scope: "col" }, element("span", { class: "visually-hidden" }, "What differs")),
    element("th", { scope: "col" }, "A"),
    element("th", { scope: "col" }, "B"),
  );
  const rows = facts.map(({ name, a, b }) =>
    element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, a), element("td", {}, b)),
  );
  return [element("thead", {}, head), element("tbody", {}, ...rows)];
}

function tool(label: string, title: string, pressed: () => void): HTMLButtonElement {
  const made = element("button", { type: "button", class: "secondary", title }, label);
  made.addEventListener("click", pressed);
  return made;
}
