// The lit row as a table: where most of its weight goes, and that it sums to one.

import { css } from "../common/colour";
import { colourAt } from "../common/colour_map";
import { element } from "../common/dom";
import { threeDigits } from "../common/number_text";
import type { AttentionState } from "./attention_state";
import { largestWeights, sumOf } from "../matrix/row_values";

const SHOWN = 8;

export function rowTablePart(looking: AttentionState): HTMLElement {
  const { page, store } = looking;
  const caption = element("caption");
  const body = element("tbody");
  const foot = element("tfoot");
  const weightHeading = heading("Weight");
  const head = element("thead", {}, element("tr", {}, heading("Key"), heading("Position"), weightHeading));
  const table = element("table", { class: "row-table" }, caption, head, body, foot);
  const section = element("section", { class: "row-section", "aria-label": "Row" }, element("h2", {}, "Row"), table);

  function show(): void {
    const trace = looking.trace();
    const { row, look, limit } = store.state;
    const lit = looking.lit();
    section.hidden = trace === null || lit === null;
    if (trace === null || lit === null || row?.query !== lit || !row.exact) {
      return;
    }
    const text = (position: number): string => looking.labels()[position] ?? "";
    caption.replaceChildren(
      element("span", { class: "mono" }, text(lit)),
      ` ${lit} looks at${look.hideSink ? ", sink hidden" : ""}`,
    );
    weightHeading.textContent = look.valueWeighted ? "Weight × ‖v‖" : "Weight";
    const largest = largestWeights(row, SHOWN);
    const others = row.query + (look.hideSink ? 0 : 1) - largest.length;
    const sum = sumOf(row.values);
    const rest = sum - largest.reduce((total, { weight }) => total + weight, 0);
    body.replaceChildren(
      ...largest.map(({ key, weight }) => line(text(key), String(key), weight, weight / limit)),
      ...(others > 0 ? [line(`${others} more`, "", Math.max(0, rest), Math.max(0, rest / limit))] : []),
    );
    foot.replaceChildren(
      element("tr", {}, element("th", { scope: "row" }, "Sum"), element("td"), element("td", {}, threeDigits(sum))),
    );
  }

  function line(text: string, position: string, weight: number, share: number): HTMLElement {
    const bar = element("span", { class: "weight-bar", "aria-hidden": "true" });
    bar.style.width = `${Math.max(1, Math.min(1, share) * 100)}%`;
    bar.style.backgroundColor = css(colourAt(page.store.state.map, 0.35 + Math.min(1, share) * 0.5));
    const track = element("span", { class: "weight-track" }, bar);
    const shown = element("td", {}, element("div", { class: "weight-line" }, track, threeDigits(weight)));
    const name = element("th", { scope: "row", class: position === "" ? "muted" : "mono" }, text);
    return element("tr", {}, name, element("td", { class: "muted" }, position), shown);
  }

  page.store.subscribe(show);
  store.subscribe((state, before) => {
    if (state.row !== before.row || state.pointed?.query !== before.pointed?.query) {
      show();
    }
  });
  return section;
}

function heading(text: string): HTMLElement {
  return element("th", { scope: "col" }, text);
}
