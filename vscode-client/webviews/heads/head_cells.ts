// The cell of one head in a grid of heads.

import { element } from "../common/dom";
import { headName } from "../common/number_text";
import type { HeadPlace } from "./trace_heads";

/** To be coloured, labelled and filled by whoever shows it. */
export function cellOf(place: HeadPlace): HTMLElement {
  return element("span", {
    class: "head",
    role: "gridcell",
    tabindex: -1,
    "aria-selected": "false",
    "data-layer": place.layer,
    "data-head": place.head,
    "data-edit": headName(place.layer, place.head),
  });
}

/** Which head a cell, or what is in it, stands for. */
export function placeOf(target: EventTarget | null): HeadPlace | null {
  const cell = target instanceof Element ? target.closest<HTMLElement>(".head") : null;
  return cell === null ? null : { layer: Number(cell.dataset.layer), head: Number(cell.dataset.head) };
}
