// The chosen head and the chosen token, in a few lines.

import { element } from "../common/dom";
import { headName, percent, threeDigits } from "../common/number_text";
import { traceOf, type Page } from "../common/page";
import { bestRole, headStatistics, statisticsOf } from "../common/statistics";
import { spokenToken } from "../common/token_text";
import { shownHead } from "../heads/trace_heads";
import { surprisalWords } from "../text/surprisal";
import type { TraceData } from "../../src/shared/messages";

const NUMBERS = 3;
const ALTERNATIVES = 3;

export function chosenPart(page: Page): HTMLElement {
  const head = element("p", {});
  const token = element("p", {});
  page.store.subscribe((state, before) => {
    const trace = traceOf(state);
    if (trace === null || (state.view === before.view && state.selection === before.selection)) {
      return;
    }
    const place = shownHead(trace, state.selection);
    head.hidden = place === null;
    if (place !== null) {
      head.replaceChildren(
        element("strong", {}, headName(place.layer, place.head)),
        element("span", { class: "muted" }, ` ${headLine(trace, place.layer, place.head)}`),
      );
    }
    const chosen = state.selection.token === null ? undefined : trace.tokens[state.selection.token];
    token.hidden = chosen === undefined;
    if (chosen !== undefined) {
      token.replaceChildren(
        element("strong", {}, `${spokenToken(chosen)} ${chosen.position}`),
        element("span", { class: "muted" }, ` ${surprisalWords(chosen)}${alternativeWords(chosen)}`),
      );
    }
  });
  return element("section", { class: "chosen", "aria-label": "Chosen head and token" }, head, token);
}

/** What the head does, then some of its numbers. */
export function headLine(trace: TraceData, layer: number, head: number): string {
  const statistics = headStatistics(trace.analysis, layer, head);
  const role = bestRole(trace, statistics);
  const does = role?.clear === true ? role.statistic.role.words : statistics === undefined ? "" : "no clear role";
  const numbers = statisticsOf(trace)
    .filter((statistic) => statistic.role == null && statistics?.[statistic.name] != null)
    .slice(0, NUMBERS)
    .map(({ name, label }) => `${label.toLowerCase()} ${threeDigits(statistics?.[name])}`);
  return [does, ...numbers].filter((part) => part !== "").join(" · ");
}

function alternativeWords({ top, id }: TraceData["tokens"][number]): string {
  const others = top.filter(({ token }) => token !== id).slice(0, ALTERNATIVES);
  const words = others.map(({ text, probability }) => `${spokenToken({ text })} ${percent(probability)}`);
  return words.length === 0 ? "" : `. Instead of it: ${words.join(", ")}`;
}
