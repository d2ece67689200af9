// The Lens tab: what the model would say if the rest of it added nothing, at every point of the stream.

import "../why/why.css";
import "./lens.css";
import { element } from "../common/dom";
import { traceOf, type Page } from "../common/page";
import type { Tab } from "../trace/tab";
import { askingPart, noTokensPart } from "../why/asking_part";
import { lensBar } from "./lens_bar";
import { lensGrid } from "./lens_grid";
import { createLens } from "./lens_state";
import { lensReadout } from "./readout";

const MEANING =
  "What the model would say if the rest of it added nothing: the stream at each point, read by the model's own " +
  "unembedding. A column reads at its token and foretells the next; the line marks where the followed token first leads.";

export function lensView(page: Page, tab: Tab): HTMLElement {
  const lens = createLens(page, tab);
  const toAttribution = (): void => {
    tab.open("attribution");
  };
  const grid = lensGrid(lens, toAttribution);
  const content = element(
    "div",
    { class: "lens-content" },
    lensBar(lens, grid.most),
    askingPart(page, lens.asking, lens.ask),
    element("div", { class: "lens-parts" }, grid.element, lensReadout(lens, toAttribution)),
    element("p", { class: "muted why-note" }, MEANING),
  );
  page.store.subscribe((state) => {
    content.hidden = traceOf(state)?.tokens.length === 0;
  });
  return element("div", { class: "lens" }, noTokensPart(page), content);
}
