// The layers of a trace: curves over them, the heads that play each role most, and what is known of the trace.

import "../common/base.css";
import "./layers.css";
import { element } from "../common/dom";
import type { Part } from "../common/page";
import { factsPart } from "./facts_part";
import { headRolesPart } from "./head_roles";
import { layerChartsPart } from "./layer_charts";

export const layersView: Part = (page) =>
  element("div", { class: "layers-parts" }, layerChartsPart(page), headRolesPart(page), factsPart(page));
