// Tokens as a reader can tell them apart: white space and control characters become visible.

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

/** In running text: spaces stay spaces, a line break shows its sign; `breaks` tells how many lines end in it. */
export function runningText(text: string): { text: string; breaks: number } {
  const shown = Array.from(text, (character) => (character === " " ? " " : visibleCharacter(character))).join("");
  return { text: shown === "" ? "∅" : shown, breaks: text.split("\n").length - 1 };
}

/** Tokens such as `<|bos|>`, which stand for no text. */
export function isSpecial(text: string): boolean {
  return SPECIAL.test(text);
}

/** A label that takes no more than `length` characters. */
export function clipped(text: string, length: number): string {
  const characters = Array.from(text);
  return characters.length <= length ? text : `${characters.slice(0, Math.max(1, length - 1)).join("")}…`;
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
