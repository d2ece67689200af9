// Keys that lead from head to head and from layer to layer, and pin one, wherever the page has the focus.

import type { HeadLook } from "./head_look";
import { headAfter, type HeadPlace } from "./trace_heads";

/** h and l: the next; with Shift, the one before. */
export function headKeyMove(key: string, looking: HeadLook): HeadPlace | null {
  const trace = looking.trace();
  const place = looking.place();
  if (trace === null || place === null) {
    return null;
  }
  const { layers } = trace;
  const layerAfter = (steps: number): HeadPlace | null => {
    const layer = layers[layers.indexOf(place.layer) + steps];
    return layer === undefined ? null : { layer, head: place.head };
  };
  const moves: Record<string, () => HeadPlace | null> = {
    h: () => headAfter(trace, place, 1),
    H: () => headAfter(trace, place, -1),
    l: () => layerAfter(1),
    L: () => layerAfter(-1),
  };
  return moves[key]?.() ?? null;
}

/** Where letters are typed. */
export const TYPED = "input:not([type=range], [type=radio], [type=checkbox]), textarea, select";

/** `pin`: on a page that shows heads side by side. */
export function onHeadKeys(looking: HeadLook, pin?: (place: HeadPlace) => void): void {
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof Element && event.target.matches(TYPED);
    if (typing || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const chosen = looking.place();
    if (event.key === "p" && chosen !== null && pin !== undefined) {
      event.preventDefault();
      pin(chosen);
      return;
    }
    const place = headKeyMove(event.key, looking);
    if (place !== null) {
      event.preventDefault();
      looking.page.select({ ...place });
    }
  });
}
