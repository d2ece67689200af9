// Buttons that zoom.

import { element, iconButton, ICONS } from "../common/dom";
import { ZOOM_STEP } from "./matrix_layout";

/** @param zoom by a factor; null: all of the matrix */
export function zoomTools(zoom: (factor: number | null) => void): HTMLElement {
  return element(
    "div",
    { class: "tools", role: "group", "aria-label": "Zoom" },
    iconButton("Zoom out (−)", ICONS.minus, () => {
      zoom(1 / ZOOM_STEP);
    }),
    iconButton("Zoom in (+)", ICONS.plus, () => {
      zoom(ZOOM_STEP);
    }),
    iconButton("Fit (0)", ICONS.fit, () => {
      zoom(null);
    }),
  );
}
