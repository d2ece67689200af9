// What the cells of the lens may be coloured by: each measure as a share of its scale.

import type { LensBelief, LensChance } from "../../src/protocol";
import { percent, threeDigits } from "../common/number_text";

export type MeasureName = "probability" | "rank" | "kl" | "entropy";

interface Measure {
  label: string;
  meaning: string;
  /** Of the followed token; null where nothing is followed there. */
  of: (belief: LensBelief, followed: LensChance | null) => number | null;
  /** 0 to 1, as bright as it is drawn; `most`: the largest value in sight. */
  share: (value: number, most: number) => number;
  /** At the dark and at the bright end of the scale. */
  ends: (most: number) => [string, string];
  words: (value: number) => string;
}

const nats = (value: number): string => `${threeDigits(value)} nats`;
const part = (value: number, most: number): number => (most > 0 ? value / most : 0);

export const MEASURES: Record<MeasureName, Measure> = {
  probability: {
    label: "Probability",
    meaning: "The probability of the followed token, at temperature 1",
    of: (_, followed) => followed?.probability ?? null,
    share: (value) => value,
    ends: () => ["0%", "100%"],
    words: percent,
  },
  rank: {
    label: "Rank",
    meaning: "The rank of the followed token, on a logarithmic scale; 1: the likeliest",
    of: (_, followed) => followed?.rank ?? null,
    share: (value, most) => (most > 1 ? 1 - Math.log(value) / Math.log(most) : 1),
    ends: (most) => [`#${most.toLocaleString("en")}`, "#1"],
    words: (value) => `#${value.toLocaleString("en")}`,
  },
  kl: {
    label: "KL divergence",
    meaning: "How far it is from the output's distribution, in nats: 0 where they agree",
    of: ({ kl }) => kl,
    share: part,
    ends: (most) => ["0", nats(most)],
    words: nats,
  },
  entropy: {
    label: "Entropy",
    meaning: "How unsure it is, in nats",
    of: ({ entropy }) => entropy,
    share: part,
    ends: (most) => ["0", nats(most)],
    words: nats,
  },
};

export function isMeasure(value: unknown): value is MeasureName {
  return typeof value === "string" && Object.hasOwn(MEASURES, value);
}

/** The followed token's chance: the pinned word's, which was asked for last, else the written one's. */
export function followedIn({ chosen }: LensBelief, isPinned: boolean, hasWritten: boolean): LensChance | null {
  return (isPinned ? chosen.at(-1) : hasWritten ? chosen[0] : undefined) ?? null;
}

/** The first row in which the token leads; null where none. */
export function firstLeading(chances: readonly (LensChance | null)[]): number | null {
  const row = chances.findIndex((chance) => chance?.rank === 1);
  return row === -1 ? null : row;
}
