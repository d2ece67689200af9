// Numbers and tokens of a comparison in words: signed, with a true minus.

import type { ComparedRow } from "../../src/comparison";
import { threeDigits } from "../common/number_text";
import { spokenToken, tokenLabel, tokenText, type Named } from "../common/token_text";

export const MINUS = "−";
export const DIFFERENCE = `B ${MINUS} A`;

/** +0.333, −0.0120, 0. */
export function signed(value: number | null | undefined): string {
  const text = threeDigits(value).replaceAll("-", MINUS);
  return value !== null && value !== undefined && value > 0 ? `+${text}` : text;
}

/** Inside a cell: +.12; nothing where it rounds to 0. */
export function shortSigned(value: number): string {
  const text = Math.abs(value).toFixed(2);
  return text === "0.00" ? "" : (value > 0 ? "+" : MINUS) + (text === "1.00" ? "1" : text.replace(/^0/, ""));
}

/** "is" where both have it, "gold / silver" where they differ, else the only one. */
export function pairLabel({ one, other, same }: ComparedRow): string {
  if (one === undefined || other === undefined || same) {
    const token = one ?? other;
    return token === undefined ? "" : tokenLabel(token);
  }
  return `${tokenLabel(one)} / ${tokenLabel(other)}`;
}

export function spokenPair({ one, other, same }: ComparedRow): string {
  if (one === undefined || other === undefined) {
    const only = one ?? other;
    return only === undefined ? "" : `${spokenToken(only)}, ${one === undefined ? "inserted in B" : "only in A"}`;
  }
  return same ? spokenToken(one) : `${spokenToken(one)} in A, ${spokenToken(other)} in B`;
}

/** As it is read in running text; the parts of one character are told apart. */
export function shownToken(token: Named): string {
  return token.piece == null ? tokenText(token).text : tokenLabel(token);
}

export function bits(value: number | null | undefined): string {
  return value === null || value === undefined ? "no surprisal" : `${threeDigits(value)} bits`;
}
