// A trace at a glance, at the width of a side bar; the matrix, the whole text and the charts have a tab of their own.

import "../common/base.css";
import "../heads/overview.css";
import "../layers/layers.css";
import "./summary.css";
import { headLook } from "../heads/head_look";
import { overviewPart } from "../heads/overview";
import { onHeadKeys } from "../heads/head_keys";
import { noAttentionPart } from "../heads/no_attention";
import { element } from "../common/dom";
import { traceOf, type Part } from "../common/page";
import { headRolesPart } from "../layers/head_roles";
import { chosenPart } from "./chosen";
import { sparklinesPart } from "./sparklines";
import { surprisalPart } from "./surprisal_part";

export const summaryView: Part = (page) => {
  const look = headLook(page);
  onHeadKeys(look);
  const overview = overviewPart(look);
  page.store.subscribe((state, before) => {
    const trace = traceOf(state);
    if (trace !== null && state.view !== before.view) {
      overview.hidden = trace.layers.length === 0;
    }
  });
  return element(
    "div",
    { class: "summary" },
    noAttentionPart(page),
    overview,
    chosenPart(page),
    surprisalPart(page),
    headRolesPart(page, 1),
    sparklinesPart(page),
  );
};
