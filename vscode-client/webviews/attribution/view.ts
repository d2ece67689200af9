// The Attribution tab: a logit as the sum of what each part of the model wrote into it.

import "../why/why.css";
import "./attribution.css";
import { element } from "../common/dom";
import { threeDigits } from "../common/number_text";
import { traceOf, type Page } from "../common/page";
import { spokenText } from "../common/token_text";
import type { Tab } from "../trace/tab";
import { askingPart, noTokensPart } from "../why/asking_part";
import { markOff } from "../switch_off/mark_off";
import { positionWords } from "../why/place";
import { askBar } from "./ask_bar";
import { createAttribution, type Attribution } from "./attribution_state";
import { barsFromZero, sumBars, type Bar } from "./bar_rows";
import { barList, signed } from "./bars";
import { detailPart } from "./detail";
import { headGrid } from "./head_grid";
import { strongest } from "./parts";

const STRONGEST = 12;
const FROZEN =
  "Each part is what it wrote itself, with the final norm's scale frozen, before the softcap; what later layers made of " +
  "it counts as theirs.";
const NOTHING_FOLLOWS = "Nothing follows the last token: name the token whose logit is to be taken apart.";

export function attributionView(page: Page, tab: Tab): HTMLElement {
  const attribution = createAttribution(page, tab);
  const { store } = attribution;
  const actions = {
    point: (bar: Bar | null): void => {
      store.set({ pointed: bar === null || bar.isTotal ? null : bar.part });
    },
    open: ({ part: { layer, head } }: Bar): void => {
      if (layer !== null && head !== null) {
        attribution.openHead({ layer, head });
      }
    },
  };
  const sums = barList("What sums to the logit", actions);
  const most = barList("The strongest heads", actions);
  store.subscribe((state, before) => {
    if (state.parts !== before.parts || state.map !== before.map) {
      queueMicrotask(markBars);
      sums.show(sumBars(state.parts, state.result?.total ?? 0), state.map);
      most.show(barsFromZero(strongest(state.heads, STRONGEST)), state.map);
    }
  });
  const markBars = (): void => {
    markOff(parts, page.edits.store.state.edits);
  };
  const parts = element(
    "div",
    { class: "attribution-parts", hidden: true },
    element("section", { "aria-label": "The sum" }, element("h2", {}, "The sum"), sums.element),
    element(
      "section",
      { "aria-label": "Heads" },
      element("h2", {}, "Heads"),
      headGrid(attribution),
      element("h2", {}, `The ${STRONGEST} strongest heads`),
      most.element,
    ),
    detailPart(attribution),
  );
  page.edits.store.subscribe(markBars);
  store.subscribe(({ result }) => {
    parts.hidden = result === null;
  });
  const content = element(
    "div",
    { class: "attribution-content" },
    titlePart(attribution),
    askBar(attribution),
    askingPart(page, attribution.asking, attribution.ask),
    parts,
  );
  page.store.subscribe((state) => {
    content.hidden = traceOf(state)?.tokens.length === 0;
  });
  return element("div", { class: "attribution" }, noTokensPart(page), content);
}

/** Who wrote “ P” after “ is” 5: +9.15, and that it sums. */
function titlePart(attribution: Attribution): HTMLElement {
  const title = element("p", { class: "attribution-title" });
  const note = element("p", { class: "muted why-note" });

  function show(): void {
    const { result } = attribution.store.state;
    const trace = attribution.trace();
    if (trace === null) {
      return;
    }
    const after = positionWords(trace, attribution.position());
    if (result === null) {
      const isLast = attribution.position() === trace.tokens.length - 1;
      title.textContent = isLast ? NOTHING_FOLLOWS : `After ${after}`;
      note.textContent = FROZEN;
      return;
    }
    const { text, against_text, total, logit, error } = result;
    const whose = against_text == null ? "" : ` rather than ${spokenText(against_text)}`;
    title.replaceChildren(
      `Who wrote ${spokenText(text)}${whose} after ${after}: `,
      element("strong", { class: "attribution-total" }, signed(total ?? 0)),
    );
    const capped = against_text == null ? ` After the softcap the logit is ${threeDigits(logit)}.` : "";
    note.textContent = `${FROZEN}${capped} The parts sum to it; the error is ${threeDigits(Math.abs(error ?? 0))}.`;
  }

  attribution.store.subscribe(show);
  attribution.page.store.subscribe(show);
  return element("div", {}, title, note);
}
