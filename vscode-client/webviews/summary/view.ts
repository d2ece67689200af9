// The summary view: surprisal, layers, head roles, and what is known of the trace.

import "../common/base.css";
import "./summary.css";
import { element } from "../common/dom";
import type { Part } from "../common/page";
import { factsPart } from "./facts_part";
import { headRolesPart } from "./head_roles";
import { layerChartsPart } from "./layer_charts";
import { surprisalTextPart } from "./surprisal_text";

export const summaryView: Part = (page) =>
  element(
    "div",
    { class: "summary" },
    surprisalTextPart(page),
    layerChartsPart(page),
    headRolesPart(page),
    factsPart(page),
  );
