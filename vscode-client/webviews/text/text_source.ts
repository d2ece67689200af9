// Which token the text's colours are about, and what pointing at another one means.

import type { Pointed } from "../attention/pointed";
import type { RowValues } from "../matrix/row_values";

export const TEXT_MODES = {
  from: "Attention from",
  to: "Attention to",
  surprisal: "Surprisal",
};
export type TextMode = keyof typeof TEXT_MODES;

export function textModeNamed(name: unknown): TextMode {
  return typeof name === "string" && name in TEXT_MODES ? (name as TextMode) : "from";
}

/** Pointing previews a token; once one is chosen, pointing at another asks for the weight between the two. */
export function pointedInText(mode: TextMode, position: number, chosen: number | null, rows: number): Pointed | null {
  if (position >= rows) {
    return null;
  }
  const fixed = chosen !== null && chosen < rows ? chosen : null;
  switch (mode) {
    case "from":
      return fixed === null ? { query: position, key: null, by: "text" } : { query: fixed, key: position, by: "text" };
    case "to":
      return { query: position, key: fixed ?? position, by: "text" };
    case "surprisal":
      return { query: position, key: null, by: "text" };
  }
}

/** The key whose column is shown. */
export function columnOf(mode: TextMode, pointed: Pointed | null, lit: number | null): number | null {
  return mode === "to" ? (pointed?.key ?? lit) : null;
}

/** Weights by position; undefined: there is none, such as of a later key. */
export type Weights = (position: number) => number | undefined;

export function rowWeights(row: RowValues): Weights {
  return (position) => (position <= row.query ? row.values[position] : undefined);
}

export function columnWeights(values: Float32Array, key: number, rows: number): Weights {
  return (position) => (position >= key && position < rows ? values[position] : undefined);
}
