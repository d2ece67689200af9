// One of the three matrices: a canvas under a window that scrolls, is pointed at and listens to keys.

import { element } from "../common/dom";

export interface Panel {
  element: HTMLElement;
  frame: HTMLElement;
  canvas: HTMLCanvasElement;
  context: CanvasRenderingContext2D | null;
  scroller: HTMLElement;
  spacer: HTMLElement;
  picture: HTMLCanvasElement;
  caption: HTMLElement;
}

export function matrixPanel(name: string): Panel {
  const canvas = element("canvas", { class: "pair-canvas", "aria-hidden": "true" });
  const spacer = element("div", {});
  const scroller = element(
    "div",
    { class: "pair-window", tabindex: 0, role: "application", "aria-roledescription": "attention matrix" },
    spacer,
  );
  const frame = element("div", { class: "pair-frame" }, canvas, scroller);
  const caption = element("figcaption", {}, name);
  const panel = element("figure", { class: "matrix-panel", "data-matrix": name }, caption, frame);
  const picture = document.createElement("canvas");
  return { element: panel, frame, canvas, context: canvas.getContext("2d"), scroller, spacer, picture, caption };
}

export interface PanelSize {
  ratio: number;
  /** CSS pixels. */
  left: number;
  top: number;
  width: number;
  height: number;
  /** Device pixels. */
  cell: number;
  fit: number;
  zoomed: boolean;
}

/** Gives canvas, window and what is scrolled their sizes. */
export function fitPanel(panel: Panel, size: PanelSize, count: number): void {
  const { left, top, width, height, ratio, zoomed } = size;
  const whole = (count * size.cell) / ratio;
  const [fullWidth, fullHeight] = [panel.frame.clientWidth, top + height + 2];
  panel.frame.style.height = `${fullHeight}px`;
  Object.assign(panel.scroller.style, {
    left: `${left}px`,
    top: `${top}px`,
    width: `${width}px`,
    height: `${height}px`,
    overflow: zoomed ? "auto" : "hidden",
  });
  Object.assign(panel.spacer.style, { width: `${whole}px`, height: `${whole}px` });
  panel.canvas.width = Math.round(fullWidth * ratio);
  panel.canvas.height = Math.round(fullHeight * ratio);
  Object.assign(panel.canvas.style, { width: `${fullWidth}px`, height: `${fullHeight}px` });
}
