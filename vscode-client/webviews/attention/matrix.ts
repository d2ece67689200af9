// The chosen head's matrix: a canvas to look at, under a window that scrolls, is pointed at and listens to keys.

import { element, iconButton, ICONS } from "../common/dom";
import { headName } from "../common/number_text";
import { spokenWeight, largestWeights } from "./row_values";
import { scaleOf, type AttentionState } from "./attention_state";
import { drawMatrix, gutters, type Scene } from "./matrix_drawing";
import { fittedCell, scrollKeeping, scrollTo, visibleSpan, ZOOM_STEP, zoomedCell } from "./matrix_layout";
import { onMatrixKeys } from "./matrix_keys";
import { onMatrixPointer } from "./matrix_pointer";
import { Raster } from "./raster";
import { nextHeads, promptLength } from "./trace_heads";
import { codeTypeFor, fittedTop, paletteOf, pixelOf, type Scale } from "./value_scale";
import type { CodeType } from "../common/tensor_values";
import type { ColourMap } from "../common/colour_map";

const WIDE = 560; // CSS pixels from which labels have more room
const NAMED_KEYS = 3;

export interface Matrix {
  element: HTMLElement;
  tools: HTMLElement;
  reveal: (query: number, key: number) => void;
}

export function matrixPart(looking: AttentionState): Matrix {
  const { page, store, data } = looking;
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
  const size = { left: 0, top: 0, width: 0, height: 0, ratio: 1, cell: 1, fit: 1, slanted: false, zoomed: false };
  let palette: { map: ColourMap; type: CodeType; scale: Scale; pixels: Uint32Array } | null = null;
  let scheduled = false;
  let timed = false;
  let openTrace: string | null = null;

  function layout(): void {
    const trace = looking.trace();
    const width = frame.clientWidth;
    if (trace === null || width === 0) {
      return;
    }
    const wide = width >= WIDE;
    size.ratio = window.devicePixelRatio || 1;
    if (context !== null) {
      Object.assign(size, gutters(context, looking.labels(), page.store.state.theme, wide));
    }
    size.slanted = wide;
    const right = wide ? Math.round(size.top * 0.6) : 2;
    const most = Math.max(220, window.innerHeight - (wide ? 190 : 120));
    const available = Math.min(width - size.left - right, most - size.top);
    size.fit = fittedCell(available * size.ratio, trace.positions, size.ratio);
    size.cell = size.zoomed ? Math.max(size.cell, size.fit) : size.fit;
    const whole = (trace.positions * size.cell) / size.ratio;
    size.width = size.zoomed ? Math.min(whole, width - size.left - right) : Math.min(whole, available);
    size.height = Math.min(whole, available);
    frame.style.height = `${size.top + size.height + 2}px`;
    Object.assign(scroller.style, {
      left: `${size.left}px`,
      top: `${size.top}px`,
      width: `${size.width}px`,
      height: `${size.height}px`,
      overflow: size.zoomed ? "auto" : "hidden",
    });
    Object.assign(spacer.style, { width: `${whole}px`, height: `${whole}px` });
    const pixels = [width * size.ratio, (size.top + size.height + 2) * size.ratio].map(Math.round);
    [canvas.width, canvas.height] = [pixels[0] ?? 0, pixels[1] ?? 0];
    Object.assign(canvas.style, { width: `${width}px`, height: `${size.top + size.height + 2}px` });
    schedule();
  }

  function schedule(): void {
    if (!scheduled) {
      scheduled = true;
      requestAnimationFrame(draw);
    }
  }

  function pixelsOf(map: ColourMap, type: CodeType, scale: Scale): Uint32Array {
    const { name, top } = palette?.scale ?? {};
    if (palette?.map !== map || palette.type !== type || name !== scale.name || top !== scale.top) {
      palette = { map, type, scale, pixels: paletteOf(map, type, scale) };
    }
    return palette.pixels;
  }

  function draw(): void {
    scheduled = false;
    const trace = looking.trace();
    const place = looking.place();
    if (context === null || trace === null || place === null || canvas.width === 0) {
      return;
    }
    const { theme, map, selection } = page.store.state;
    const { pointed, row, failure, arrivals } = store.state;
    const scale = scaleOf(store.state);
    const { ratio, cell } = size;
    const type = codeTypeFor(trace.positions, scale.name);
    const [scrollX, scrollY] = [Math.round(scroller.scrollLeft * ratio), Math.round(scroller.scrollTop * ratio)];
    const rows = visibleSpan(scrollY, size.height * ratio, cell, trace.positions);
    const columns = visibleSpan(scrollX, size.width * ratio, cell, trace.positions);
    const complete = failure === null && data.want(rows, columns, type);
    const rowStop = looking.rows();
    const paint = { palette: pixelsOf(map, type, scale), blank: pixelOf(theme.surface), rowStop, window: data.window };
    raster.update(data, rows, columns, cell, type, paint, [arrivals, place.layer, place.head, trace]);
    if (complete) {
      data.fetchAhead(nextHeads(trace, place), rows, columns, type);
    }
    if (complete && !size.zoomed) {
      store.set({ top: fittedTop(raster.largestByRow(type)) });
    }
    const lit = looking.lit();
    const scene: Scene = {
      theme,
      map,
      raster,
      type,
      scale,
      cell,
      scrollX,
      scrollY,
      rows,
      columns,
      rowStop,
      lit,
      labels: looking.labels(),
      pixelRatio: ratio,
      left: size.left * ratio,
      top: size.top * ratio,
      width: size.width * ratio,
      height: size.height * ratio,
      positions: trace.positions,
      window: data.window,
      promptLength: promptLength(trace),
      key: pointed?.key ?? null,
      fixed: selection.token,
      column: store.state.column,
      named: row !== null && row.query === lit ? largestWeights(row, NAMED_KEYS).map(({ key }) => key) : [],
      slanted: size.slanted,
    };
    drawMatrix(context, scene);
    frame.dataset.head = `${place.layer}.${place.head}`;
    frame.dataset.complete = String(complete);
    frame.setAttribute("aria-busy", String(!complete && failure === null));
    measure(complete);
  }

  /** How long it took from the choice of a head to all of it on the screen: for tests and the profiler. */
  function measure(complete: boolean): void {
    if (complete && timed) {
      timed = false;
      performance.clearMeasures("nanoscope:head");
      performance.measure("nanoscope:head", "nanoscope:head-chosen");
      performance.clearMarks("nanoscope:head-chosen");
    }
  }

  function zoom(factor: number | null, at?: { x: number; y: number }): void {
    const trace = looking.trace();
    if (trace === null) {
      return;
    }
    const before = size.cell;
    const next = factor === null ? size.fit : zoomedCell(before, factor, size.fit, size.ratio);
    const [x, y] = at === undefined ? [size.width / 2, size.height / 2] : [at.x, at.y];
    const [scrollX, scrollY] = [scroller.scrollLeft, scroller.scrollTop];
    size.cell = next;
    size.zoomed = next > size.fit;
    layout();
    scroller.scrollLeft = scrollKeeping(x, scrollX, before / size.ratio, next / size.ratio);
    scroller.scrollTop = scrollKeeping(y, scrollY, before / size.ratio, next / size.ratio);
  }

  function reveal(query: number, key: number): void {
    const cell = size.cell / size.ratio;
    scroller.scrollTop = scrollTo(query, scroller.scrollTop, scroller.clientHeight, cell);
    scroller.scrollLeft = scrollTo(key, scroller.scrollLeft, scroller.clientWidth, cell);
  }

  scroller.addEventListener("scroll", schedule, { passive: true });
  onMatrixPointer(scroller, looking, { zoom, cell: () => size.cell / size.ratio, zoomed: () => size.zoomed });
  onMatrixKeys(scroller, looking, { reveal, zoom });
  new ResizeObserver(layout).observe(frame);
  window.addEventListener("resize", layout);

  page.store.subscribe((state, before) => {
    if (state.view !== before.view && state.view.kind === "trace") {
      const { trace_id: opened } = state.view.trace.summary;
      if (opened !== openTrace) {
        openTrace = opened;
        size.zoomed = false;
        scroller.scrollTo(0, 0);
      }
      raster.forget();
      layout();
    }
    const { layer, head } = state.selection;
    if (state.view !== before.view || layer !== before.selection.layer || head !== before.selection.head) {
      timed = true;
      const place = looking.place();
      const name = place === null ? "" : `, ${headName(place.layer, place.head)}`;
      scroller.setAttribute(
        "aria-label",
        `Attention matrix${name}. Arrow keys move, Enter keeps the row, plus and minus zoom.`,
      );
    }
    schedule();
  });
  store.subscribe((state, before) => {
    if (state.pointed?.by === "keyboard" && (state.row !== before.row || state.pointed !== before.pointed)) {
      sayCell(looking);
    }
    schedule();
  });

  const tools = element(
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
  return { element: frame, tools, reveal };
}

function sayCell({ page, store, trace }: AttentionState): void {
  const { pointed, row } = store.state;
  const shown = trace();
  if (pointed?.key == null || shown === null) {
    return;
  }
  const weight = row?.query === pointed.query && row.exact ? (row.values[pointed.key] ?? null) : null;
  if (weight !== null) {
    page.announce(spokenWeight(shown.tokens, pointed.query, pointed.key, weight));
  }
}
