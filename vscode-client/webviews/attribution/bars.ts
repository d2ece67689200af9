// Bars from zero, or from where the one before ended, one of which the keyboard is on.

import { css } from "../common/colour";
import { divergingAt, type DivergingMap } from "../common/diverging_map";
import { element, setAttributes } from "../common/dom";
import { threeDigits } from "../common/number_text";
import { editName } from "../switch_off/edits";
import { editOf, spanOf, type Bar } from "./bar_rows";

export interface BarList {
  element: HTMLElement;
  show: (bars: readonly Bar[], map: DivergingMap) => void;
}

interface Actions {
  /** The bar under the mouse or the focus; null: none any more. */
  point: (bar: Bar | null) => void;
  /** A click or Enter. */
  open: (bar: Bar) => void;
}

export function barList(label: string, { point, open }: Actions): BarList {
  const list = element("div", { class: "bars", role: "listbox", "aria-label": label });
  let shown: readonly Bar[] = [];
  let rows: HTMLElement[] = [];
  let current = "";

  /** `focus`: the keyboard goes there too. */
  function choose(index: number, focus: boolean): void {
    current = shown[index]?.part.name ?? "";
    mark(index, focus);
  }

  function mark(index: number, focus: boolean): void {
    rows.forEach((row, place) => {
      setAttributes(row, { tabindex: place === index ? 0 : -1, "aria-selected": String(place === index) });
    });
    if (focus) {
      rows[index]?.focus();
    }
  }

  function barAt(target: EventTarget | null): number {
    const row = target instanceof Element ? target.closest<HTMLElement>(".bar-row") : null;
    return row === null ? -1 : rows.indexOf(row);
  }

  list.addEventListener("pointerover", (event) => {
    point(shown[barAt(event.target)] ?? null);
  });
  list.addEventListener("pointerleave", () => {
    point(null);
  });
  list.addEventListener("focusin", (event) => {
    const index = barAt(event.target);
    point(shown[index] ?? null);
    if (index !== -1) {
      choose(index, false);
    }
  });
  list.addEventListener("click", (event) => {
    const index = barAt(event.target);
    const bar = shown[index];
    if (bar !== undefined) {
      choose(index, true);
      open(bar);
    }
  });
  list.addEventListener("keydown", (event) => {
    const index = barAt(event.target);
    const moves: Record<string, number> = { ArrowUp: index - 1, ArrowDown: index + 1, Home: 0, End: rows.length - 1 };
    const move = moves[event.key];
    const bar = shown[index];
    if (move !== undefined && index !== -1) {
      event.preventDefault();
      choose(Math.max(0, Math.min(rows.length - 1, move)), true);
    } else if (event.key === "Enter" && bar !== undefined) {
      event.preventDefault();
      open(bar);
    }
  });
  return {
    element: list,
    show: (bars, map) => {
      const focused = list.contains(document.activeElement);
      const [low, high] = spanOf(bars);
      shown = bars;
      rows = bars.map((bar) => rowOf(bar, low, high, map));
      list.replaceChildren(...rows);
      const index = bars.findIndex(({ part }) => part.name === current);
      mark(Math.max(0, index), focused); // of what is not there yet, none is chosen
    },
  };
}

function rowOf(bar: Bar, low: number, high: number, map: DivergingMap): HTMLElement {
  const { part, from, to, isTotal } = bar;
  const width = high - low || 1;
  const at = (value: number): string => `${(100 * (value - low)) / width}%`;
  const fill = element("span", { class: "bar-fill" });
  fill.style.left = at(Math.min(from, to));
  fill.style.width = `${(100 * Math.abs(to - from)) / width}%`;
  fill.style.backgroundColor = css(divergingAt(map, to < from ? -0.8 : 0.8));
  const zero = element("span", { class: "bar-zero" });
  zero.style.left = at(0);
  const edit = editOf(part);
  return element(
    "div",
    {
      class: `bar-row${isTotal ? " total" : ""}`,
      role: "option",
      "data-name": part.name,
      "data-edit": edit === null ? null : editName(edit),
      "aria-label": `${part.name} ${signed(part.value)}`,
    },
    element("span", { class: "bar-name" }, part.name),
    element("span", { class: "bar-track", "aria-hidden": "true" }, zero, fill),
    element("span", { class: "bar-value" }, signed(part.value)),
  );
}

/** +1.23, −0.450 */
export function signed(value: number): string {
  return `${value < 0 ? "−" : "+"}${threeDigits(Math.abs(value))}`;
}
