// Tokens as a reader can tell them apart: white space and control characters become visible, shared characters whole.

import type { TokenRow } from "../../src/protocol";
import { visible } from "./visible";

/** What a token's name needs of it. */
export type Named = Pick<TokenRow, "text" | "piece">;

const SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉";
const SPECIAL = /^<\|[^|]+\|>$/;
/** Spaces have their width, tabs their stops, and lines break after their sign. */
const RUNNING: Record<string, string> = { " ": " ", "\t": "→\t", "\n": "↵\n" };
const SPOKEN: Record<string, string> = { " ": " " };
export const LONGEST_LABEL = 24;
const LONGEST_RUNNING = 100;

/** As a label; ` the` is `·the`, a byte that is no character `⟨F0⟩`, a zero-width space `⟨ZWSP⟩`. */
export function visibleText(text: string): string {
  return visible(text);
}

/** As a label; the first of the tokens that share é is `é₁`. */
export function tokenLabel({ text, piece }: Named): string {
  if (piece == null) {
    return visibleText(text);
  }
  const place = Array.from(String(piece.index + 1), (digit) => SUBSCRIPTS[Number(digit)] ?? digit).join("");
  return visibleText(piece.text) + place;
}

/** The same, no longer than there is room for. */
export function shortLabel(token: Named): string {
  return clipped(tokenLabel(token), LONGEST_LABEL);
}

/** In running text: the first of the tokens that share a character shows it, the others are seams beside it. */
export function tokenText({ text, piece }: Named): { text: string; ends: boolean } {
  return piece == null ? runningText(text) : piece.index === 0 ? runningText(piece.text) : { text: "", ends: false };
}

/** In running text: spaces stay spaces, a line break shows its sign; `ends`: its line ends after it. */
export function runningText(text: string): { text: string; ends: boolean } {
  const shown = clipped(visible(text, RUNNING), LONGEST_RUNNING);
  const ends = shown.endsWith("\n");
  return { text: ends ? shown.slice(0, -1) : shown, ends };
}

/** For sentences and screen readers. */
export function spokenToken({ text, piece }: Named): string {
  return piece == null ? spokenText(text) : `${spokenText(piece.text)} part ${piece.index + 1} of ${piece.count}`;
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
  return `“${clipped(visible(text, SPOKEN), LONGEST_RUNNING).replace(/^ /, "")}”`;
}
