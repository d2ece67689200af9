// The elements of the aligned text: a pair of tokens with its bar, and the markers of what folds.

import type { ComparedRow } from "../../src/comparison";
import { css } from "../common/colour";
import { element } from "../common/dom";
import { threeDigits } from "../common/number_text";
import { clipped, isSpecial, tokenText, type Named } from "../common/token_text";
import { divergingAt, type DivergingMap } from "../common/diverging_map";
import type { Section } from "./folds";
import { bits, DIFFERENCE, MINUS, shownToken, signed, spokenPair } from "./words";

const LONGEST = 48; // characters of a token that are shown; the note has all of them

export function pairCell(row: ComparedRow, place: number): HTMLElement {
  const { one, other, same, difference } = row;
  const kind = one === undefined ? "only-b" : other === undefined ? "only-a" : same ? "same" : "changed";
  const bits = difference === null ? "" : `, ${DIFFERENCE} ${signed(difference)} bits`;
  return element(
    "span",
    { class: `pair ${kind}`, role: "option", tabindex: -1, "aria-selected": "false", "data-place": place },
    element("span", { class: "visually-hidden" }, `${spokenPair(row)}, ${positions(row)}${bits}`),
    token(one, "pair-a", "+"),
    token(other, "pair-b", MINUS),
    element("span", { class: "pair-bar" }, difference === null ? null : element("span", { class: "bar-value" })),
  );
}

/** `gap`: what stands where this text has nothing. */
function token(row: Named | undefined, name: string, gap: string): HTMLElement {
  if (row === undefined) {
    return element("span", { class: `${name} gap`, "aria-hidden": "true" }, gap);
  }
  const cell = element(
    "span",
    { class: name, "aria-hidden": "true" },
    element("bdi", {}, clipped(shownToken(row), LONGEST)),
  );
  cell.classList.toggle("special", isSpecial(row.text));
  return cell;
}

function positions({ one, other }: ComparedRow): string {
  const [a, b] = [one?.position, other?.position];
  return a === b
    ? `position ${a}`
    : [a === undefined ? "" : `A ${a}`, b === undefined ? "" : `B ${b}`].filter(Boolean).join(", ");
}

/** Whether a line ends after a pair. */
export function endsLine({ one, other }: ComparedRow): boolean {
  return [one, other].some((row) => row !== undefined && tokenText(row).ends);
}

/** The bar goes up where B is more surprised, and down where A is. */
export function paintBar(cell: HTMLElement, difference: number, top: number, map: DivergingMap): void {
  const bar = cell.querySelector<HTMLElement>(".bar-value");
  if (bar !== null) {
    const share = Math.max(-1, Math.min(1, difference / top));
    bar.style.backgroundColor = css(divergingAt(map, Math.sign(share) * (0.35 + 0.65 * Math.abs(share))));
    bar.style.height = `${Math.abs(share) * 50}%`;
    bar.classList.toggle("down", share < 0);
  }
}

/** The largest difference that has a bar of full height: at least a bit, so that nothing is made of noise. */
export function barTop(rows: readonly ComparedRow[]): number {
  return rows.reduce((top, { difference }) => Math.max(top, Math.abs(difference ?? 0)), 1);
}

export function foldCell({ first, stop }: Section, rows: readonly ComparedRow[], open: boolean): HTMLElement {
  const count = stop - first;
  const cell = element("span", {
    class: `fold${open ? " open" : ""}`,
    role: "option",
    tabindex: -1,
    "aria-selected": "false",
  });
  cell.dataset.fold = String(first);
  const most = rows.slice(first, stop).reduce((top, { difference }) => Math.max(top, Math.abs(difference ?? 0)), 0);
  const within = most === 0 ? "" : `, within ±${threeDigits(most)} bits`;
  cell.append(
    open ? `▾ ${count} equal tokens` : `… ${count} equal tokens${within} …`,
    element("span", { class: "visually-hidden" }, open ? ", shown: Enter folds them" : ", folded: Enter shows them"),
  );
  return cell;
}

export function pairNote(row: ComparedRow): HTMLElement {
  const { one, other, difference, same } = row;
  const line = (letter: string, token: ComparedRow["one"]): HTMLElement =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, letter),
      element("td", { class: "mono" }, token === undefined ? "nothing" : clipped(shownToken(token), 300)),
      element("td", {}, token === undefined ? "" : `at ${token.position}`),
      element("td", {}, token === undefined ? "" : bits(token.surprisal)),
    );
  const last = element(
    "tr",
    {},
    element("th", { scope: "row" }, DIFFERENCE),
    element("td", { colspan: 2 }),
    element("td", {}, difference !== null ? `${signed(difference)} bits` : same ? "–" : "other tokens"),
  );
  return element("table", {}, element("tbody", {}, line("A", one), line("B", other), last));
}
