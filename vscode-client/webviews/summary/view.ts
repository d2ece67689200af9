// The summary view: surprisal, layers, head roles, and what is known of the trace.

import "../common/base.css";
import "../text/tip.css";
import "./summary.css";
import { element } from "../common/dom";
import type { Page, Part } from "../common/page";
import { factsPart } from "./facts_part";
import { headRolesPart } from "./head_roles";
import { layerChartsPart } from "./layer_charts";
import { surprisalTextPart } from "./surprisal_text";

export const summaryView: Part = (page) => summaryOf(page, surprisalTextPart(page));

/** Beside a text that has surprisal among its colours. */
export const statisticsView: Part = (page) => summaryOf(page);

function summaryOf(page: Page, ...first: HTMLElement[]): HTMLElement {
  return element("div", { class: "summary" }, ...first, layerChartsPart(page), headRolesPart(page), factsPart(page));
}
