// A head under the mouse, larger: its pattern, its name and what is known of it.

import { element } from "../common/dom";
import type { ColourMap } from "../common/colour_map";
import type { Picture } from "./head_pictures";
import { drawPicture } from "./picture_drawing";

const WIDTH = 190; // CSS pixels, as the style has it
const GAP = 8;

export interface HeadPreview {
  element: HTMLElement;
  /** Beside the grid at the height of a cell, or below the grid; the words are those of the overview. */
  show: (grid: HTMLElement, cell: HTMLElement, picture: Picture | null, map: ColourMap, words: readonly Node[]) => void;
  hide: () => void;
}

export function headPreview(): HeadPreview {
  const place = element("div", { class: "head-preview-picture" });
  const words = element("p");
  const part = element("div", { class: "head-preview", "aria-hidden": "true", hidden: true }, place, words);
  return {
    element: part,
    show: (grid, cell, picture, map, text) => {
      place.replaceChildren(...(picture === null ? [] : [drawPicture(picture, map)]));
      words.replaceChildren(...text);
      part.hidden = false;
      const box = grid.getBoundingClientRect();
      const beside = box.right + GAP + WIDTH <= window.innerWidth;
      const lowest = Math.max(GAP, window.innerHeight - part.offsetHeight - GAP);
      const top = Math.min(cell.getBoundingClientRect().top, lowest);
      part.style.left = `${beside ? box.right + GAP : box.left}px`;
      part.style.top = `${beside ? top : box.bottom + GAP}px`;
    },
    hide: () => {
      part.hidden = true;
    },
  };
}
