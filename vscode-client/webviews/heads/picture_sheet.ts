// The pictures of all heads on one canvas over their cells: a canvas each, hundreds of them, made every frame of the page slow.

import { element } from "../common/dom";

export interface PictureSheet {
  /** Lies over the grid, in the same parent. */
  element: HTMLCanvasElement;
  put: (cell: HTMLElement, picture: HTMLCanvasElement) => void;
  clear: () => void;
}

export function pictureSheet(grid: HTMLElement): PictureSheet {
  const canvas = element("canvas", { class: "head-pictures", "aria-hidden": "true" });
  const pictures = new Map<HTMLElement, HTMLCanvasElement>();
  let scheduled = false;

  function draw(): void {
    scheduled = false;
    const whole = grid.getBoundingClientRect();
    const context = canvas.getContext("2d");
    if (context === null || whole.width === 0) {
      return; // it is drawn when its place has a size
    }
    const ratio = window.devicePixelRatio || 1;
    const boxes = [...pictures].map(([cell, picture]) => ({ picture, box: cell.getBoundingClientRect() }));
    canvas.width = pictures.size === 0 ? 0 : Math.round(whole.width * ratio); // which also blanks it
    canvas.height = pictures.size === 0 ? 0 : Math.round(whole.height * ratio);
    Object.assign(canvas.style, { width: `${canvas.width / ratio}px`, height: `${canvas.height / ratio}px` });
    context.imageSmoothingEnabled = false;
    const pixel = (length: number): number => Math.round(length * ratio);
    for (const { picture, box } of boxes) {
      const [left, top] = [pixel(box.left - whole.left), pixel(box.top - whole.top)];
      const [right, bottom] = [pixel(box.right - whole.left), pixel(box.bottom - whole.top)];
      context.drawImage(picture, left, top, right - left, bottom - top);
    }
    canvas.dataset.pictures = String(boxes.length);
  }

  function schedule(): void {
    if (!scheduled) {
      scheduled = true;
      requestAnimationFrame(draw);
    }
  }

  new ResizeObserver(schedule).observe(grid);
  window.addEventListener("resize", schedule); // the pixels of the screen may be others
  return {
    element: canvas,
    put: (cell, picture) => {
      pictures.set(cell, picture);
      schedule();
    },
    clear: () => {
      pictures.clear();
      schedule();
    },
  };
}
