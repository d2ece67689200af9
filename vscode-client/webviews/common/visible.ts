// Characters that a reader would not see, or that would move their neighbours, by signs and names.

/** In labels. A tab's sign in running text is another one: there it has its width as well. */
const SIGNS: Record<string, string> = { " ": "·", "\n": "↵", "\t": "⇥" };
const NAMES: Record<string, string> = {
  "\r": "CR",
  "\u00ad": "SHY",
  "\u061c": "ALM",
  "\u200b": "ZWSP",
  "\u200c": "ZWNJ",
  "\u200d": "ZWJ",
  "\u200e": "LRM",
  "\u200f": "RLM",
  "\u2028": "LS",
  "\u2029": "PS",
  "\u202a": "LRE",
  "\u202b": "RLE",
  "\u202c": "PDF",
  "\u202d": "LRO",
  "\u202e": "RLO",
  "\u2060": "WJ",
  "\u2066": "LRI",
  "\u2067": "RLI",
  "\u2068": "FSI",
  "\u2069": "PDI",
  "\ufe0e": "VS15",
  "\ufe0f": "VS16",
  "\ufeff": "BOM",
};
// Control and format characters (bidirectional overrides and zero-width ones too), separators, lone surrogates.
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\ufe0e\ufe0f]/u;
/** What one picture is made of: people joined to a family, skin colours, flags of regions, keys with a number. */
const PICTURE =
  /[0-9#*]\ufe0f?\u20e3|\p{Extended_Pictographic}[\ufe0e\ufe0f\p{Emoji_Modifier}\u{e0020}-\u{e007f}]*(?:\u200d\p{Extended_Pictographic}[\ufe0e\ufe0f\p{Emoji_Modifier}]*)*/gu;
const BYTE = /\\x([89a-f][0-9a-f])/g; // as the daemon writes bytes that are no character

/** A text in which each character can be seen, with signs of one's own for some of them. */
export function visible(text: string, signs: Record<string, string> = SIGNS): string {
  if (text === "") {
    return "∅";
  }
  let shown = "";
  let place = 0;
  for (const { index, 0: picture } of text.matchAll(PICTURE)) {
    shown += plain(text.slice(place, index), signs) + picture;
    place = index + picture.length;
  }
  return shown + plain(text.slice(place), signs);
}

function plain(text: string, signs: Record<string, string>): string {
  const shown = Array.from(text, (character, index) => signOf(character, index === 0, signs)).join("");
  return shown.replace(BYTE, (_, digits: string) => `⟨${digits.toUpperCase()}⟩`);
}

function signOf(character: string, first: boolean, signs: Record<string, string>): string {
  const sign = signs[character] ?? SIGNS[character];
  if (sign !== undefined) {
    return sign;
  }
  if (INVISIBLE.test(character)) {
    return `⟨${NAMES[character] ?? codeOf(character)}⟩`;
  }
  if (first && /\p{M}/u.test(character)) {
    return `◌${character}`; // an accent without its letter
  }
  return /\p{Zs}/u.test(character) && character !== " " ? "␣" : character;
}

/** A byte as its two digits, another character as U+200B. */
function codeOf(character: string): string {
  const digits = (character.codePointAt(0) ?? 0).toString(16).toUpperCase();
  return digits.length <= 2 ? digits.padStart(2, "0") : `U+${digits.padStart(4, "0")}`;
}
