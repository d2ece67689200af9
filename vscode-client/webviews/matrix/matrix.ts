// A panel's matrix: a canvas to look at, under a window that scrolls, is pointed at and listens to keys.

import { element } from "../common/dom";
import type { AttentionState } from "../attention/attention_state";
import { drawMatrix } from "./matrix_drawing";
import { gutters } from "./matrix_labels";
import { fittingOf, scrollKeeping, scrollTo, zoomedCell, type Fitting } from "./matrix_layout";
import { onMatrixKeys } from "./matrix_keys";
import { onMatrixPointer } from "./matrix_pointer";
import type { Panel } from "../attention/panel";
import { Raster } from "./raster";
import { Palettes, sceneOf } from "./scene";
import { StillPicture } from "./still_picture";
import { sourceName } from "./source";
import { nextHeads } from "../heads/trace_heads";
import { fittedTop } from "./value_scale";
import type { KeptViewport } from "./viewport";
import type { CodeType } from "../common/tensor_values";
import { zoomTools } from "./zoom_tools";

const WIDE = 560; // CSS pixels from which labels have more room

export interface Matrix {
  element: HTMLElement;
  tools: HTMLElement;
  /** Its place has another size. */
  layout: () => void;
  reveal: (query: number, key: number) => void;
}

export interface Place {
  /** Shared by all matrices: zoom and scrolling. */
  viewport: KeptViewport;
  /** The most CSS pixels that it may be high. */
  height: () => number;
}

export function matrixPart(looking: AttentionState, panel: Panel, { viewport, height }: Place): Matrix {
  const { page, store } = looking;
  const { data } = panel;
  const canvas = element("canvas", { class: "matrix-canvas", "aria-hidden": "true" });
  const spacer = element("div", { class: "matrix-spacer" });
  const scroller = element(
    "div",
    {
      class: "matrix-window",
      tabindex: 0,
      role: "application",
      "aria-roledescription": "attention matrix",
    },
    spacer,
  );
  const frame = element("div", { class: "matrix" }, canvas, scroller);
  const context = canvas.getContext("2d");
  const raster = new Raster();
  const palettes = new Palettes();
  const still = new StillPicture();
  const isMain = panel === looking.panel;
  let fitting: Fitting = { cell: 1, fit: 1, whole: 0, left: 0, top: 0, width: 0, height: 0, zoomed: false };
  let ratio = 1;
  let slanted = false;
  let scheduled = false;
  let fitted = 0; // the version of the picture that the scale was fitted to
  let timed = false;
  const cellSize = (): number => fitting.cell / ratio; // CSS pixels

  function layout(): void {
    const trace = looking.trace();
    const width = frame.clientWidth;
    if (trace === null || width === 0) {
      return;
    }
    slanted = width >= WIDE;
    ratio = window.devicePixelRatio || 1;
    const labels =
      context === null ? { left: 0, top: 0 } : gutters(context, looking.labels(), page.store.state.theme, slanted);
    const room = { ...labels, width, height: height(), right: slanted ? Math.round(labels.top * 0.6) : 2 };
    fitting = fittingOf(room, trace.positions, ratio, viewport.store.state.cell);
    const css = (pixels: number): string => `${pixels / ratio}px`;
    const [wide, high] = [Math.round(width * ratio), fitting.top + fitting.height + Math.ceil(2 * ratio)];
    frame.style.height = css(high);
    Object.assign(scroller.style, {
      left: css(fitting.left),
      top: css(fitting.top),
      width: css(fitting.width),
      height: css(fitting.height),
      overflow: fitting.zoomed ? "auto" : "hidden",
    });
    Object.assign(spacer.style, { width: css(fitting.whole), height: css(fitting.whole) });
    if (canvas.width !== wide || canvas.height !== high) {
      [canvas.width, canvas.height] = [wide, high];
      Object.assign(canvas.style, { width: css(wide), height: css(high) });
    }
    follow();
    schedule();
  }

  /** Scrolls to where all matrices are. */
  function follow(): void {
    const { x, y } = viewport.store.state;
    const [left, top] = fitting.zoomed ? [x * cellSize(), y * cellSize()] : [0, 0];
    if (Math.abs(scroller.scrollLeft - left) > 1 || Math.abs(scroller.scrollTop - top) > 1) {
      scroller.scrollTo(left, top);
    }
  }

  function scrolled(): void {
    const { x, y } = viewport.store.state;
    const [left, top] = [scroller.scrollLeft / cellSize(), scroller.scrollTop / cellSize()];
    if (fitting.zoomed && Math.max(Math.abs(left - x), Math.abs(top - y)) * cellSize() > 1) {
      viewport.store.set({ x: left, y: top });
    }
    schedule();
  }

  function schedule(): void {
    if (!scheduled) {
      scheduled = true;
      requestAnimationFrame(draw);
    }
  }

  function draw(): void {
    scheduled = false;
    const trace = looking.trace();
    const place = panel.source();
    if (context === null || trace === null || place === null || canvas.width === 0 || frame.clientWidth === 0) {
      return;
    }
    const [scrollX, scrollY] = [Math.round(scroller.scrollLeft * ratio), Math.round(scroller.scrollTop * ratio)];
    const looks = { fitting, ratio, slanted, scrollX, scrollY };
    const drawn = sceneOf(looking, place, data, panel.store.state, raster, palettes, looks);
    if (drawn === null) {
      return;
    }
    const { scene, type, complete } = drawn;
    if (complete && isMain) {
      data.fetchAhead(nextHeads(trace, place), scene.rows, scene.columns, type);
    }
    if (complete && !fitting.zoomed) {
      fitScale(type);
    }
    drawMatrix(context, scene, still);
    frame.dataset.trace = trace.summary.trace_id;
    frame.dataset.head = place.combined?.name ?? `${place.layer}.${place.head}`;
    frame.dataset.complete = String(complete);
    frame.setAttribute("aria-busy", String(!complete && panel.store.state.failure === null));
    measure(complete);
  }

  /** Once for each picture: it looks at every pixel. */
  function fitScale(type: CodeType): void {
    if (raster.version === fitted) {
      return;
    }
    fitted = raster.version;
    const largest = store.state.look.valueWeighted ? raster.largest(type, data.largest) : 1;
    const top = fittedTop(raster.largestByRow(type, data.largest));
    if (top !== panel.store.state.fitted || largest !== panel.store.state.largest) {
      panel.store.set({ fitted: top, largest });
    }
  }

  /** How long it took from the choice of a head to all of it on the screen: for tests and the profiler. */
  function measure(complete: boolean): void {
    if (complete && timed && isMain) {
      timed = false;
      performance.clearMeasures("nanoscope:head");
      performance.measure("nanoscope:head", "nanoscope:head-chosen");
      performance.clearMarks("nanoscope:head-chosen");
    }
  }

  function zoom(factor: number | null, at = chosenPoint()): void {
    if (looking.trace() === null) {
      return;
    }
    const before = cellSize();
    const cell = factor === null ? fitting.fit : zoomedCell(fitting.cell, factor, fitting.fit, ratio);
    if (cell <= fitting.fit) {
      viewport.store.set({ cell: null, x: 0, y: 0 });
      return;
    }
    const next = cell / ratio;
    viewport.store.set({
      cell,
      x: scrollKeeping(at.x, scroller.scrollLeft, before, next) / next,
      y: scrollKeeping(at.y, scroller.scrollTop, before, next) / next,
    });
  }

  /** The middle of the cell pointed at, or of the lit row, where it is seen; else the middle of what is seen. */
  function chosenPoint(): { x: number; y: number } {
    const cell = cellSize();
    const middle = (position: number | null, scroll: number, length: number): number => {
      const at = position === null ? -1 : (position + 0.5) * cell - scroll;
      return at >= 0 && at <= length ? at : length / 2;
    };
    return {
      x: middle(store.state.pointed?.key ?? null, scroller.scrollLeft, scroller.clientWidth),
      y: middle(looking.lit(), scroller.scrollTop, scroller.clientHeight),
    };
  }

  function reveal(query: number, key: number): void {
    const cell = cellSize();
    scroller.scrollTop = scrollTo(query, scroller.scrollTop, scroller.clientHeight, cell);
    scroller.scrollLeft = scrollTo(key, scroller.scrollLeft, scroller.clientWidth, cell);
  }

  scroller.addEventListener("scroll", scrolled, { passive: true });
  onMatrixPointer(scroller, looking, { zoom, cell: cellSize, zoomed: () => fitting.zoomed });
  onMatrixKeys(scroller, looking, panel, { reveal, zoom });
  new ResizeObserver(layout).observe(frame);
  window.addEventListener("resize", layout);
  viewport.store.subscribe((state, before) => {
    if (state.cell !== before.cell) {
      layout();
    } else {
      follow();
      schedule();
    }
  });

  page.store.subscribe((state, before) => {
    if (state.view !== before.view && state.view.kind === "trace") {
      raster.forget();
      layout();
    }
    const { layer, head } = state.selection;
    if (state.view !== before.view || layer !== before.selection.layer || head !== before.selection.head) {
      timed = true;
    }
    name();
    schedule();
  });

  function name(): void {
    const place = panel.source();
    const of = place === null ? "" : `, ${sourceName(place)}`;
    const label = `Attention matrix${of}. Arrow keys move, Enter keeps the row, plus and minus zoom, p pins the head.`;
    if (scroller.getAttribute("aria-label") !== label) {
      scroller.setAttribute("aria-label", label);
    }
  }

  for (const changing of new Set([store, panel.store])) {
    changing.subscribe(() => {
      name();
      schedule();
    });
  }
  return { element: frame, tools: zoomTools(zoom), layout, reveal };
}
