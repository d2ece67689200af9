// One line: which query looks at which key, with how much weight in A and in B, and the difference.

import { element } from "../common/dom";
import { threeDigits } from "../common/number_text";
import { clipped } from "../common/token_text";
import type { Comparing, CompareState, Shown } from "./compare_state";
import { DIFFERENCE, pairLabel, signed, spokenPair } from "./words";

/** undefined: not read yet; null: there is no such cell. */
type Weight = number | null | undefined;

export interface CellWeights {
  a: Weight;
  b: Weight;
}

/** The exact weights of a cell; asks for them where they are not there. */
export function cellWeights({ data }: Comparing, { space }: Shown, query: number, key: number): CellWeights {
  const heads = data();
  const of = (side: "a" | "b"): Weight => {
    const [row, column] = [space[side][query] ?? -1, space[side][key] ?? -1];
    if (row < 0 || column < 0 || column > row || column < row - heads[side].window) {
      return null;
    }
    const values = heads[side].row(row, "float16");
    return values?.exact === true ? values.values[column] : undefined;
  };
  return { a: of("a"), b: of("b") };
}

export function differenceOf({ a, b }: CellWeights): Weight {
  return a === null || b === null ? null : a === undefined || b === undefined ? undefined : b - a;
}

export function cellReadoutPart(comparing: Comparing): HTMLElement {
  const { store } = comparing;
  const line = element("p", { class: "cell-readout", "aria-hidden": "true" });

  function show(state: CompareState): void {
    const { shown, cursor, locked, place } = state;
    const query = cursor?.query ?? locked;
    for (const name of ["a", "b", "difference"]) {
      line.removeAttribute(`data-${name}`);
    }
    if (shown === null || place === null || query === null) {
      line.replaceChildren(element("span", { class: "muted" }, "Point at a cell, or at a token of the text."));
      return;
    }
    const key = cursor?.key ?? null;
    if (key === null) {
      line.replaceChildren(chip(shown, query), element("span", { class: "muted" }, cursor === null ? " row kept" : ""));
      return;
    }
    const weights = cellWeights(comparing, shown, query, key);
    const difference = differenceOf(weights);
    line.replaceChildren(
      element("span", { class: "cell-place" }, chip(shown, query), " → ", chip(shown, key)),
      number("A", "a", weights.a, key > query, threeDigits),
      number("B", "b", weights.b, key > query, threeDigits),
      number(DIFFERENCE, "difference", difference, key > query, signed),
    );
    if (cursor?.by === "keyboard" && difference !== undefined) {
      comparing.announce(spoken(shown, query, key, weights, difference));
    }
  }

  function number(
    label: string,
    name: string,
    value: Weight,
    later: boolean,
    text: (value: number) => string,
  ): HTMLElement {
    if (typeof value === "number") {
      line.setAttribute(`data-${name}`, String(value));
    }
    const shown = value === undefined ? "…" : value === null ? (later ? "later" : "none") : text(value);
    return element(
      "span",
      { class: "cell-number" },
      element("span", { class: "muted" }, `${label} `),
      element("strong", typeof value === "number" ? {} : { class: "muted" }, shown),
    );
  }

  store.subscribe((state, before) => {
    const { cursor, locked, shown, place, arrivals } = state;
    const looked = cursor !== before.cursor || locked !== before.locked || place !== before.place;
    if (looked || shown !== before.shown || (arrivals !== before.arrivals && cursor?.key != null)) {
      show(state);
    }
  });
  return line;
}

function spoken(shown: Shown, query: number, key: number, { a, b }: CellWeights, difference: Weight): string {
  const name = (place: number): string => {
    const row = shown.rows[place];
    return row === undefined ? "" : spokenPair(row);
  };
  const value = (weight: Weight): string => (typeof weight === "number" ? threeDigits(weight) : "none");
  const apart = typeof difference === "number" ? signed(difference) : "none";
  return `${name(query)} to ${name(key)}: A ${value(a)}, B ${value(b)}, ${DIFFERENCE} ${apart}`;
}

function chip({ rows }: Shown, place: number): HTMLElement {
  const row = rows[place];
  const [a, b] = [row?.one?.position, row?.other?.position];
  const at = a === b || b === undefined ? String(a) : a === undefined ? String(b) : `${a}/${b}`;
  return element(
    "span",
    { class: "cell-chip" },
    element("bdi", { class: "mono" }, row === undefined ? "" : clipped(pairLabel(row), 28)),
    element("small", { class: "muted" }, ` ${at}`),
  );
}
