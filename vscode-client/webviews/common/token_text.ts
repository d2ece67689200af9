// Tokens as a reader can tell them apart: white space and control characters become visible, shared characters whole.

import type { TokenRow } from "../../src/protocol";

/** What a token's name needs of it. */
export type Named = Pick<TokenRow, "text" | "piece">;

const SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉";

const VISIBLE: Record<string, string> = { " ": "·", "\n": "↵", "\r": "␍", "\t": "⇥" };
const SPECIAL = /^<\|[^|]+\|>$/;
// Control and format characters (bidirectional overrides and zero-width ones too), separators, lone surrogates.
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/u;
const UTF8 = new TextEncoder();

/** As a label: no character is invisible or moves its neighbours; ` the` is `·the`, a byte is `\xNN`. */
export function visibleText(text: string): string {
  if (text === "") {
    return "∅";
  }
  return Array.from(text, visibleCharacter).join("");
}

function visibleCharacter(character: string): string {
  const known = VISIBLE[character];
  if (known !== undefined) {
    return known;
  }
  return INVISIBLE.test(character) ? escaped(character) : /\p{Zs}/u.test(character) ? "␣" : character;
}

function escaped(character: string): string {
  return Array.from(UTF8.encode(character), (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
}

/** As a label; the first of the tokens that share é is `é₁`. */
export function tokenLabel({ text, piece }: Named): string {
  if (piece == null) {
    return visibleText(text);
  }
  const place = Array.from(String(piece.index + 1), (digit) => SUBSCRIPTS[Number(digit)] ?? digit).join("");
  return visibleText(piece.text) + place;
}

/** In running text: the first of the tokens that share a character shows it, the others are seams beside it. */
export function tokenText({ text, piece }: Named): { text: string; breaks: number } {
  return piece == null ? runningText(text) : piece.index === 0 ? runningText(piece.text) : { text: "", breaks: 0 };
}

/** For sentences and screen readers. */
export function spokenToken({ text, piece }: Named): string {
  return piece == null ? spokenText(text) : `${spokenText(piece.text)} part ${piece.index + 1} of ${piece.count}`;
}

/** In running text: spaces stay spaces, a line break shows its sign; `breaks` tells how many lines end in it. */
export function runningText(text: string): { text: string; breaks: number } {
  const shown = Array.from(text, (character) => (character === " " ? " " : visibleCharacter(character))).join("");
  return { text: shown === "" ? "∅" : shown, breaks: text.split("\n").length - 1 };
}

/** Tokens such as `<|bos|>`, which stand for no text. */
export function isSpecial(text: string): boolean {
  return SPECIAL.test(text);
}

/** A label that takes no more than `length` characters: its middle goes, for tokens often differ at their ends. */
export function clipped(text: string, length: number): string {
  const characters = Array.from(text);
  if (characters.length <= length) {
    return text;
  }
  const start = Math.max(1, Math.ceil((length - 1) / 2));
  const end = Math.max(0, length - 1 - start);
  return `${characters.slice(0, start).join("")}…${end === 0 ? "" : characters.slice(-end).join("")}`;
}

/** For sentences and screen readers: quoted, in words where it is only white space. */
export function spokenText(text: string): string {
  if (text === "") {
    return "empty token";
  }
  if (/^ +$/.test(text)) {
    return text.length === 1 ? "space" : `${text.length} spaces`;
  }
  if (/^\n+$/.test(text)) {
    return text.length === 1 ? "line break" : `${text.length} line breaks`;
  }
  return `“${visibleText(text.replace(/^ /, ""))}”`;
}
