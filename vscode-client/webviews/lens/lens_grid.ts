// The lens as a grid: a column a position, a row a point of the stream, in each cell the likeliest token.

import type { LensBelief } from "../../src/protocol";
import type { TraceData } from "../../src/shared/messages";
import { css } from "../common/colour";
import { colourAt, textAt } from "../common/colour_map";
import { element, setAttributes } from "../common/dom";
import { percent } from "../common/number_text";
import { shortLabel, spokenText } from "../common/token_text";
import { keyName } from "../matrix/moves";
import { positionWords } from "../why/place";
import { pointLabel, pointWords } from "./lens_points";
import type { Lens, LensPlace } from "./lens_state";
import { columnsIn } from "./lens_window";
import { firstLeading, MEASURES } from "./measures";

export interface LensGrid {
  element: HTMLElement;
  /** The largest value in sight, where the scale ends. */
  most: () => number;
}

/** `enter`: what Enter does in a cell. */
export function lensGrid(lens: Lens, enter: () => void): LensGrid {
  const { page, store } = lens;
  const table = element("table", {
    class: "lens-grid",
    role: "grid",
    "aria-label": "Likeliest tokens by point and position",
  });
  const scroll = element("div", { class: "lens-scroll sheet" }, table);
  let cells: HTMLElement[][] = []; // by row, then by column
  let most = 1;
  let drawn: readonly unknown[] = [];

  function fill(trace: TraceData): void {
    const { points, columns, start } = store.state;
    const focused = table.contains(document.activeElement);
    const positions = Array.from({ length: columns }, (_, column) => (start ?? 0) + column);
    const heads = positions.map((position) => {
      const token = trace.tokens[position];
      const label = token === undefined ? "" : shortLabel(token);
      return element("th", { scope: "col", title: positionWords(trace, position), "data-position": position }, label);
    });
    cells = points.map((_, row) => positions.map((position) => cellOf({ row, position })));
    const rows = points.map((point, row) =>
      element(
        "tr",
        { class: `at-${point.at}` },
        element("th", { scope: "row" }, pointLabel(point)),
        ...(cells[row] ?? []),
      ),
    );
    const written = positions.map((position) => {
      const token = trace.tokens[position + 1];
      return element(
        "td",
        { class: token?.generated === true ? "generated" : null },
        token === undefined ? "" : shortLabel(token),
      );
    });
    table.replaceChildren(
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Token"), ...heads)),
      element("tbody", {}, ...rows),
      element("tfoot", {}, element("tr", {}, element("th", { scope: "row" }, "Written next"), ...written)),
    );
    table.hidden = points.length === 0;
    paint(trace);
    mark();
    if (focused) {
      cellAt(chosen())?.focus({ preventScroll: true });
    }
  }

  function paint(trace: TraceData): void {
    const { measure, start, points, beliefs } = store.state;
    const { map } = page.store.state;
    const { of, share, words } = MEASURES[measure];
    const values = cells.map((row, index) =>
      row.map((_, column) => {
        const place = { row: index, position: (start ?? 0) + column };
        const belief = beliefs.get(place.position)?.[index];
        return belief === undefined ? null : of(belief, lens.followed(place));
      }),
    );
    most = values.flat().reduce<number>((top, value) => Math.max(top, value ?? 0), 0);
    cells.forEach((row, index) => {
      row.forEach((cell, column) => {
        const position = (start ?? 0) + column;
        const belief = beliefs.get(position)?.[index];
        const value = values[index]?.[column] ?? null;
        const point = points[index];
        cell.classList.toggle("unknown", belief === undefined);
        cell.style.backgroundColor = value === null ? "" : css(colourAt(map, share(value, most)));
        cell.style.color = value === null ? "" : css(textAt(map, share(value, most)));
        cell.textContent = belief === undefined ? "" : shortLabel({ text: likeliest(belief), piece: null });
        const told = value === null ? "" : `, ${MEASURES[measure].label.toLowerCase()} ${words(value)}`;
        const place = point === undefined ? "" : `${pointWords(point)}, token ${positionWords(trace, position)}`;
        cell.setAttribute(
          "aria-label",
          belief === undefined ? `${place}: not known yet` : `${spoken(belief)}${told}; ${place}`,
        );
      });
    });
    drawLines();
  }

  /** Above the first row in which the followed token leads. */
  function drawLines(): void {
    const { start, points } = store.state;
    for (let column = 0; column < store.state.columns; column++) {
      const position = (start ?? 0) + column;
      const first = firstLeading(points.map((_, row) => lens.followed({ row, position })));
      cells.forEach((row, index) => {
        row[column]?.classList.toggle("leads", index === first);
      });
    }
  }

  function chosen(): LensPlace {
    return { row: store.state.row, position: lens.position() };
  }

  function cellAt({ row, position }: LensPlace): HTMLElement | undefined {
    return cells[row]?.[position - (store.state.start ?? 0)];
  }

  function mark(): void {
    const place = chosen();
    const cell = cellAt(place);
    for (const other of cells.flat()) {
      setAttributes(other, { "aria-selected": String(other === cell), tabindex: other === cell ? 0 : -1 });
    }
    table.querySelectorAll("thead th[data-position]").forEach((head) => {
      head.classList.toggle("chosen", Number((head as HTMLElement).dataset.position) === place.position);
    });
  }

  function show(): void {
    const trace = lens.trace();
    const { points, beliefs, start, columns, row, measure, pin } = store.state;
    const { map, selection, view } = page.store.state;
    if (trace === null || start === null) {
      return;
    }
    const now = [view, points, start, columns, beliefs, measure, pin, map];
    const isNew = (from: number, to: number): boolean =>
      now.slice(from, to).some((value, i) => value !== drawn[from + i]);
    if (isNew(0, 4)) {
      fill(trace);
    } else if (isNew(4, now.length)) {
      paint(trace);
    }
    if (row !== drawn[now.length] || selection.token !== drawn[now.length + 1]) {
      mark();
    }
    drawn = [...now, row, selection.token];
  }

  table.addEventListener("pointerover", (event) => {
    store.set({ pointed: placeOf(event.target) });
  });
  table.addEventListener("pointerleave", () => {
    store.set({ pointed: null });
  });
  table.addEventListener("click", (event) => {
    const place = placeOf(event.target);
    if (place !== null) {
      lens.choose(place);
      cellAt(place)?.focus();
    }
  });
  table.addEventListener("keydown", (event) => {
    const { points, columns } = store.state;
    const { row, position } = chosen();
    const last = (lens.trace()?.tokens.length ?? 1) - 1;
    const moves: Record<string, LensPlace> = {
      ArrowUp: { row: row - 1, position },
      ArrowDown: { row: row + 1, position },
      ArrowLeft: { row, position: position - 1 },
      ArrowRight: { row, position: position + 1 },
      PageUp: { row, position: position - columns },
      PageDown: { row, position: position + columns },
      Home: { row, position: 0 },
      End: { row, position: last },
      "Mod+Home": { row: 0, position },
      "Mod+End": { row: points.length - 1, position },
    };
    const name = keyName(event);
    const move = moves[name];
    if (move !== undefined) {
      event.preventDefault();
      const place = { row: within(move.row, points.length - 1), position: within(move.position, last) };
      lens.choose(place);
      queueMicrotask(() => {
        show();
        cellAt(place)?.focus();
      });
    } else if (name === "Enter") {
      event.preventDefault();
      enter();
    } else if (name === "p") {
      event.preventDefault();
      event.stopPropagation(); // here it follows a word, elsewhere it pins a head
      const token = store.state.beliefs.get(position)?.[row]?.top[0]?.token;
      lens.pin(token === undefined || token === store.state.pin ? null : token);
    }
  });
  new ResizeObserver(() => {
    const trace = lens.trace();
    if (trace !== null && scroll.clientWidth > 0) {
      lens.resize(columnsIn(scroll.clientWidth, trace.tokens.length));
    }
  }).observe(scroll);
  page.store.subscribe((state, before) => {
    const trace = lens.trace();
    if (trace !== null && state.view !== before.view && scroll.clientWidth > 0) {
      lens.resize(columnsIn(scroll.clientWidth, trace.tokens.length));
    }
    show();
  });
  store.subscribe(show);
  return { element: scroll, most: () => most };
}

function within(value: number, last: number): number {
  return Math.max(0, Math.min(last, value));
}

function likeliest(belief: LensBelief): string {
  return belief.top[0]?.text ?? "";
}

function spoken(belief: LensBelief): string {
  return `${spokenText(likeliest(belief))} ${percent(belief.top[0]?.probability)}`;
}

function cellOf({ row, position }: LensPlace): HTMLElement {
  return element("td", {
    class: "lens-cell",
    role: "gridcell",
    tabindex: -1,
    "data-row": row,
    "data-position": position,
  });
}

function placeOf(target: EventTarget | null): LensPlace | null {
  const cell = target instanceof Element ? target.closest<HTMLElement>(".lens-cell") : null;
  return cell === null ? null : { row: Number(cell.dataset.row), position: Number(cell.dataset.position) };
}
