// One query's weights: the largest, their sum, in words.

import type { TokenRow } from "../../src/protocol";
import { spokenToken } from "../common/token_text";
import { threeDigits } from "../common/number_text";

export interface RowValues {
  layer: number;
  head: number;
  query: number;
  /** By key; `exact`: as the file has them, else to about two digits. */
  values: Float32Array;
  exact: boolean;
}

export interface Weight {
  key: number;
  weight: number;
}

/** The largest weights of a row, the largest first; of equal ones the nearer key. */
export function largestWeights(row: RowValues, count: number): Weight[] {
  const best: Weight[] = [];
  for (let key = Math.min(row.query, row.values.length - 1); key >= 0; key--) {
    const weight = row.values[key] ?? 0;
    const last = best[best.length - 1];
    if (weight > 0 && (best.length < count || (last !== undefined && weight > last.weight))) {
      let place = best.length;
      while (place > 0 && (best[place - 1]?.weight ?? 0) < weight) {
        place--;
      }
      best.splice(place, 0, { key, weight });
      best.length = Math.min(best.length, count);
    }
  }
  return best;
}

/** In double precision, as the values came in single. */
export function sumOf(values: Iterable<number>): number {
  let sum = 0;
  for (const value of values) {
    sum += value;
  }
  return sum;
}

/** “gold” 4 to “of” 3: 0.824. */
export function spokenWeight(tokens: readonly TokenRow[], query: number, key: number, weight: number | null): string {
  const name = (position: number): string => `${spokenToken(tokens[position] ?? { text: "" })} ${position}`;
  return `${name(query)} to ${name(key)}: ${weight === null ? "loading" : threeDigits(weight)}`;
}
