// Finding in a text of tokens: words across their boundaries, and positions by number.

import type { TokenRow } from "../../src/protocol";

/** Tokens that hold a match, [first, last]. */
export interface Match {
  first: number;
  last: number;
}

export interface TextIndex {
  /** In small letters. */
  text: string;
  /** Where in it each token begins; one more at its end. */
  starts: readonly number[];
}

type Indexed = Pick<TokenRow, "text" | "piece">;

/** The text of the tokens as a reader has it: a character that several share stands at the first of them. */
export function textIndex(tokens: readonly Indexed[]): TextIndex {
  const starts: number[] = [];
  let text = "";
  for (const token of tokens) {
    starts.push(text.length);
    text += (token.piece == null ? token.text : token.piece.index === 0 ? token.piece.text : "").toLowerCase();
  }
  return { text, starts: [...starts, text.length] };
}

/** In the order of the text. A number, with # or without, is the position as well. */
export function findAll(query: string, { text, starts }: TextIndex): Match[] {
  const count = starts.length - 1;
  const wanted = query.toLowerCase();
  const found: Match[] = [];
  const position = positionIn(query, count);
  if (position !== null) {
    found.push({ first: position, last: position });
  }
  if (wanted === "") {
    return found;
  }
  for (let at = text.indexOf(wanted); at !== -1; at = text.indexOf(wanted, at + wanted.length)) {
    const match = { first: tokenAt(starts, at), last: lastAt(starts, at + wanted.length - 1) };
    if (!isSame(found[0], match) && !isSame(found.at(-1), match)) {
      found.push(match);
    }
  }
  return found.sort((a, b) => a.first - b.first || a.last - b.last);
}

function isSame(one: Match | undefined, other: Match): boolean {
  return one?.first === other.first && one.last === other.last;
}

/** The position that a query names; null: none. */
export function positionIn(query: string, count: number): number | null {
  const digits = /^#?(\d{1,9})$/.exec(query.trim())?.[1];
  return digits !== undefined && Number(digits) < count ? Number(digits) : null;
}

/** Which match is shown first: the position that was named, else the first from a position on. */
export function firstMatch(matches: readonly Match[], query: string, count: number, from: number): number {
  const named = positionIn(query, count);
  const index =
    named === null
      ? matches.findIndex(({ last }) => last >= from)
      : matches.findIndex(({ first, last }) => first === named && last === named);
  return Math.max(0, index);
}

/** The token that holds a character: of those that begin there the one that has it. */
function tokenAt(starts: readonly number[], at: number): number {
  let [low, high] = [0, starts.length - 2];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if ((starts[middle + 1] ?? 0) > at) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

/** The same, and the tokens after it that share its character. */
function lastAt(starts: readonly number[], at: number): number {
  let token = tokenAt(starts, at);
  while (token + 2 < starts.length && starts[token + 1] === starts[token + 2]) {
    token++;
  }
  return token;
}
