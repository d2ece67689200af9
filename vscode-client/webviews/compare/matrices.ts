// A, B and B - A of the chosen head, side by side: one zoom, one cursor, one scale for A and B.

import { zoomTools } from "../matrix/zoom_tools";
import { scrollKeeping, scrollTo, visibleSpan, zoomedCell, type Span } from "../matrix/matrix_layout";
import type { HeadPlace } from "../heads/trace_heads";
import type { Cell } from "../matrix/moves";
import { shareOf } from "../matrix/value_scale";
import { textAt } from "../common/colour_map";
import { element } from "../common/dom";
import { headName, shortWeight } from "../common/number_text";
import { tokenLabel } from "../common/token_text";
import type { Comparing, Shown } from "./compare_state";
import { divergingTextAt } from "../common/diverging_map";
import { scalesOf, scalePart } from "./matrix_scales";
import { fitPanel, matrixPanel, type Panel, type PanelSize } from "./matrix_panel";
import { onMatrixInput } from "./matrix_input";
import { drawPairs, type Scene } from "./pair_drawing";
import { PairPictures, TYPE } from "./pictures";
import { positionsOf } from "./pair_space";
import { headRows, movedHead } from "./divergence_order";
import { DIFFERENCE, pairLabel, shortSigned } from "./words";

const WIDE = 340; // CSS pixels of a panel from which labels have more room
const LARGEST_FITTED = 40;
const ABOVE = 150; // CSS pixels of the window that the matrices leave to what is around them
const SMALLEST = 200;
const STREAMING_MS = 80; // between two pictures while weights come

type Name = "a" | "b" | "difference";

export function matricesPart(comparing: Comparing): HTMLElement {
  const { store } = comparing;
  const pictures = new PairPictures();
  const panels: Record<Name, Panel> = { a: matrixPanel("A"), b: matrixPanel("B"), difference: matrixPanel(DIFFERENCE) };
  const all = Object.values(panels);
  const size: PanelSize = { ratio: 1, left: 0, top: 0, width: 0, height: 0, cell: 1, fit: 1, zoomed: false };
  const name = element("h2");
  const note = element("p", { class: "muted matrix-note" });
  const memory: { cell: Cell | null } = { cell: null };
  let scheduled = false;
  let lastRead = 0;

  function layout(): void {
    const { shown } = store.state;
    const width = panels.a.frame.clientWidth;
    if (shown === null || width === 0 || shown.space.count === 0) {
      return;
    }
    const wide = width >= WIDE;
    const count = shown.space.count;
    size.ratio = window.devicePixelRatio || 1;
    Object.assign(size, { left: wide ? 72 : 56, top: wide ? 62 : 48 });
    const right = wide ? 26 : 14; // slanted labels lean over
    const room = Math.min(width - size.left - right, Math.max(SMALLEST, window.innerHeight - ABOVE) - size.top);
    const available = Math.max(40, room);
    size.fit = Math.min((available * size.ratio) / count, LARGEST_FITTED * size.ratio);
    size.cell = size.zoomed ? Math.max(size.cell, size.fit) : size.fit;
    const whole = (count * size.cell) / size.ratio;
    size.width = Math.min(whole, available);
    size.height = Math.min(whole, available);
    all.forEach((panel) => {
      fitPanel(panel, size, count);
    });
    schedule();
  }

  function schedule(): void {
    if (!scheduled) {
      scheduled = true;
      requestAnimationFrame(draw);
    }
  }

  function draw(now: number): void {
    scheduled = false;
    const { shown, place, theme, map, diverging, arrivals, failure, cursor, locked } = store.state;
    if (shown === null || place === null || panels.a.canvas.width === 0) {
      return;
    }
    const { count } = shown.space;
    const { ratio, cell } = size;
    const [scrollX, scrollY] = [panels.a.scroller.scrollLeft * ratio, panels.a.scroller.scrollTop * ratio];
    const rows = visibleSpan(scrollY, size.height * ratio, cell, count);
    const columns = visibleSpan(scrollX, size.width * ratio, cell, count);
    const heads = comparing.data();
    const wanted = (["a", "b"] as const).map((side) =>
      heads[side].want(positionsOf(shown.space[side], rows), positionsOf(shown.space[side], columns), TYPE),
    );
    const complete = failure === null && wanted.every(Boolean);
    if (!complete && now - lastRead < STREAMING_MS) {
      setTimeout(schedule, STREAMING_MS); // what comes meanwhile is drawn with it
    } else if (pictures.read(shown, heads, { rows, columns, cell }, [arrivals, place])) {
      lastRead = now;
      const tops = complete && !size.zoomed ? pictures.tops() : null;
      if (tops !== null) {
        store.set(tops);
      }
    }
    const scales = scalesOf(store.state);
    const { grids } = pictures;
    const canvases = { a: panels.a.picture, b: panels.b.picture, difference: panels.difference.picture };
    pictures.paint(canvases, theme, map, diverging, scales);
    if (grids === null) {
      return;
    }
    const part = { theme, ratio, cell, rows: grids.grid.rows, columns: grids.grid.columns, count };
    const sizes = {
      left: size.left * ratio,
      top: size.top * ratio,
      width: size.width * ratio,
      height: size.height * ratio,
    };
    const at = { scrollX, scrollY, query: cursor?.query ?? locked, key: cursor?.key ?? null };
    const changed = (index: number): boolean => shown.pairs[index]?.same === false;
    const scene = { ...part, ...sizes, ...at, changed, grid: grids.grid };
    const weights = {
      text: shortWeight,
      ink: (value: number) => textAt(map, shareOf(value, scales.weights)),
    };
    const drawOn = (which: Name, own: Pick<Scene, "text" | "ink" | "labels">): void => {
      const { context, picture } = panels[which];
      if (context !== null) {
        drawPairs(context, { ...scene, ...own, picture, values: grids[which] });
      }
    };
    drawOn("a", { ...weights, labels: labelOf(shown, "one") });
    drawOn("b", { ...weights, labels: labelOf(shown, "other") });
    drawOn("difference", {
      labels: (index) => {
        const row = shown.rows[index];
        return row === undefined ? "" : pairLabel(row);
      },
      text: shortSigned,
      ink: (value) => divergingTextAt(diverging, Math.sign(value) * shareOf(Math.abs(value), scales.difference)),
    });
    section.dataset.complete = String(complete && !scheduled);
    section.dataset.head = `${place.layer}.${place.head}`;
    if (complete) {
      fetchAhead(shown, place, rows, columns);
      performance.mark("nanoscope:pair-drawn");
    }
  }

  /** The same part of the heads that the keys lead to. */
  function fetchAhead(shown: Shown, place: HeadPlace, rows: Span, columns: Span): void {
    const { divergences, order } = store.state;
    const lines = headRows(shown.common, divergences, order);
    const next = ["h", "H", "l"].map((key) => movedHead(key, place, lines)).filter((head) => head !== null);
    const heads = comparing.data();
    for (const side of ["a", "b"] as const) {
      const of = shown.space[side];
      heads[side].fetchAhead(next, positionsOf(of, rows), positionsOf(of, columns), TYPE);
    }
  }

  function zoom(factor: number | null, at?: { x: number; y: number }): void {
    const before = size.cell;
    const next = factor === null ? size.fit : zoomedCell(before, factor, size.fit, size.ratio);
    const { scrollLeft, scrollTop } = panels.a.scroller;
    const centre = at ?? { x: size.width / 2, y: size.height / 2 };
    size.cell = next;
    size.zoomed = next > size.fit;
    layout();
    const to = (offset: number, scroll: number): number =>
      scrollKeeping(offset, scroll, before / size.ratio, next / size.ratio);
    scrollAll(to(centre.x, scrollLeft), to(centre.y, scrollTop));
    const { cursor } = store.state;
    if (at === undefined && cursor !== null && cursor.key !== null) {
      reveal({ query: cursor.query, key: cursor.key });
    }
  }

  function reveal({ query, key }: Cell): void {
    const cell = size.cell / size.ratio;
    const { scrollLeft, scrollTop } = panels.a.scroller;
    scrollAll(scrollTo(key, scrollLeft, size.width, cell), scrollTo(query, scrollTop, size.height, cell));
  }

  function scrollAll(left: number, top: number): void {
    all.forEach(({ scroller }) => {
      scroller.scrollTo(left, top);
    });
    schedule();
  }

  all.forEach(({ scroller }) => {
    scroller.addEventListener(
      "scroll",
      () => {
        const { scrollLeft, scrollTop } = scroller;
        all.forEach((other) => {
          if (other.scroller.scrollLeft !== scrollLeft || other.scroller.scrollTop !== scrollTop) {
            other.scroller.scrollTo(scrollLeft, scrollTop);
          }
        });
        schedule();
      },
      { passive: true },
    );
    onMatrixInput(scroller, comparing, { zoom, reveal, cell: () => size.cell / size.ratio, memory });
  });

  const bar = element("div", { class: "bar" }, name, note, element("div", { class: "push" }, zoomTools(zoom)));
  const row = element("div", { class: "matrix-row" }, ...all.map((panel) => panel.element));
  const section = element("section", { class: "matrices", "aria-label": "Matrices" }, bar, row, scalePart(comparing));
  new ResizeObserver(layout).observe(row);
  window.addEventListener("resize", layout);

  store.subscribe((state, before) => {
    const { shown, place } = state;
    section.hidden = place === null || shown?.space.count === 0;
    if (shown !== before.shown) {
      pictures.forget();
      note.textContent = shown === null ? "" : noteOf(shown);
      layout();
    }
    if ((place !== before.place || shown !== before.shown) && place !== null) {
      name.textContent = headName(place.layer, place.head);
      for (const [which, letter] of [
        ["a", "A"],
        ["b", "B"],
        ["difference", DIFFERENCE],
      ] as const) {
        const label = `${letter}, ${headName(place.layer, place.head)}. Arrow keys move, Enter keeps the row, plus and minus zoom.`;
        panels[which].scroller.setAttribute("aria-label", label);
      }
    }
    schedule();
  });
  return section;
}

/** What is hatched. */
function noteOf({ space }: Shown): string {
  const one = space.a.reduce(
    (count, position, place) => count + Number(position < 0 !== (space.b[place] ?? -1) < 0),
    0,
  );
  return one === 0 ? "" : `Hatched: ${one === 1 ? "a position" : `${one} positions`} that one text alone has.`;
}

function labelOf({ rows }: Shown, side: "one" | "other"): (place: number) => string {
  return (place) => {
    const token = rows[place]?.[side];
    return token === undefined ? "" : tokenLabel(token);
  };
}
