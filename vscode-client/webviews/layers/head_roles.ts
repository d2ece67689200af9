// The heads that play each role most; choosing one selects it everywhere.

import type { TraceData } from "../../src/shared/messages";
import { css } from "../common/colour";
import { colourAt, type ColourMap } from "../common/colour_map";
import { element } from "../common/dom";
import { headName, threeDigits } from "../common/number_text";
import { traceOf, type Page } from "../common/page";
import { rankedHeads, rolesOf, type RankedHead, type Statistic } from "../common/statistics";

const SHOWN = 4;

/** `count`: heads shown of each role. */
export function headRolesPart(page: Page, count = SHOWN): HTMLElement {
  const body = element("tbody");
  const head = element(
    "thead",
    { class: "visually-hidden" },
    element(
      "tr",
      {},
      element("th", { scope: "col" }, "Role"),
      element("th", { scope: "col" }, "Heads that play it most"),
    ),
  );
  const table = element("table", { class: "roles" }, head, body);
  const section = element("section", { "aria-label": "Head roles" }, element("h2", {}, "Head roles"), table);

  body.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest<HTMLElement>("button") : null;
    if (button !== null) {
      page.select({ layer: Number(button.dataset.layer), head: Number(button.dataset.head) });
      page.announce(`${headName(Number(button.dataset.layer), Number(button.dataset.head))} selected`);
    }
  });

  page.store.subscribe((state, before) => {
    const trace = traceOf(state);
    if (trace === null) {
      return;
    }
    if (state.view !== before.view || state.map !== before.map) {
      section.hidden = Object.keys(trace.analysis.attention?.layer_stats ?? {}).length === 0;
      body.replaceChildren(...rolesOf(trace).map((role) => roleRow(trace, role, state.map, count)));
    }
    const { layer, head: index } = state.selection;
    for (const button of body.querySelectorAll<HTMLElement>("button")) {
      const chosen = button.dataset.layer === String(layer) && button.dataset.head === String(index);
      button.setAttribute("aria-pressed", String(chosen));
    }
  });
  return section;
}

function roleRow(trace: TraceData, role: Statistic, map: ColourMap, count: number): HTMLElement {
  const heads = rankedHeads(trace.analysis, role.name).slice(0, count);
  const buttons = heads.map((ranked) => headButton(ranked, map));
  const none = element("span", { class: "muted" }, "no token repeats");
  const name = element("th", { scope: "row", title: role.meaning }, role.label);
  name.append(element("small", { class: "muted" }, role.role?.words ?? ""));
  const shown = element("div", { class: "role-heads" }, ...(heads.length === 0 ? [none] : buttons));
  return element("tr", {}, name, element("td", {}, shown));
}

function headButton({ layer, head, value }: RankedHead, map: ColourMap): HTMLElement {
  const swatch = element("span", { class: "head-swatch", "aria-hidden": "true" });
  swatch.style.backgroundColor = css(colourAt(map, value));
  return element(
    "button",
    { type: "button", class: "head-button", "data-layer": layer, "data-head": head },
    swatch,
    headName(layer, head),
    " ",
    element("span", { class: "muted" }, threeDigits(value)),
  );
}
