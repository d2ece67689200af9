// What is known of a head: the statistics that can colour it, and its roles in words.

import type { Analysis, HeadStatistics } from "../../src/protocol";

export type StatisticName = keyof HeadStatistics;

export interface Statistic {
  name: StatisticName;
  label: string;
  /** What it is, for the tooltip. */
  meaning: string;
  unit: string;
  /** What the colours span: 0 to 1, or 0 to the largest head's value. */
  domain: "unit" | "data";
  /** For roles: what a head with much of it does. */
  role?: string;
}

export const STATISTICS: readonly Statistic[] = [
  {
    name: "induction",
    label: "Induction",
    meaning: "Mean weight on the positions that came after earlier ones of the same token.",
    unit: "",
    domain: "unit",
    role: "looks at what followed this token last time",
  },
  {
    name: "previous_token",
    label: "Previous token",
    meaning: "Mean weight on the position before.",
    unit: "",
    domain: "unit",
    role: "looks one token back",
  },
  {
    name: "duplicate_token",
    label: "Duplicate token",
    meaning: "Mean weight on earlier positions of the same token.",
    unit: "",
    domain: "unit",
    role: "looks at earlier copies of this token",
  },
  {
    name: "sink",
    label: "Sink",
    meaning: "Mean weight on position 0.",
    unit: "",
    domain: "unit",
    role: "rests on the first token",
  },
  {
    name: "attention_entropy",
    label: "Entropy",
    meaning: "Mean over queries of the entropy of their weights.",
    unit: "nats",
    domain: "data",
  },
  {
    name: "attention_entropy_normalised",
    label: "Entropy, normalised",
    meaning: "Entropy divided by the most it could be.",
    unit: "",
    domain: "unit",
  },
  {
    name: "head_sparsity",
    label: "Sparsity",
    meaning: "Share of valid cells below 0.01.",
    unit: "",
    domain: "unit",
  },
  {
    name: "max_attention",
    label: "Largest weight",
    meaning: "Largest weight of a valid cell.",
    unit: "",
    domain: "unit",
  },
  {
    name: "mean_attention",
    label: "Mean weight",
    meaning: "Mean weight over valid cells.",
    unit: "",
    domain: "data",
  },
];

export const ROLES = STATISTICS.filter((statistic) => statistic.role !== undefined);
/** A head has a role where this share of its weight goes there. */
export const CLEAR_ROLE = 0.25;

export function statisticNamed(name: string): Statistic {
  const [first] = STATISTICS;
  const found = STATISTICS.find((statistic) => statistic.name === name) ?? first;
  if (found === undefined) {
    throw new Error("There are no statistics.");
  }
  return found;
}

export function headStatistics(analysis: Analysis, layer: number, head: number): HeadStatistics | undefined {
  return analysis.attention?.layer_stats[String(layer)]?.heads?.[head];
}

export interface Role {
  statistic: Statistic;
  value: number;
  clear: boolean;
}

/** The role that most of a head's weight goes to. */
export function bestRole(head: HeadStatistics | undefined): Role | null {
  let best: Role | null = null;
  for (const statistic of ROLES) {
    const value = head?.[statistic.name];
    if (value !== null && value !== undefined && (best === null || value > best.value)) {
      best = { statistic, value, clear: value >= CLEAR_ROLE };
    }
  }
  return best;
}

export interface RankedHead {
  layer: number;
  head: number;
  value: number;
}

/** Heads by a statistic, the largest first. */
export function rankedHeads(analysis: Analysis, name: StatisticName): RankedHead[] {
  const ranked: RankedHead[] = [];
  for (const [layer, statistics] of Object.entries(analysis.attention?.layer_stats ?? {})) {
    (statistics.heads ?? []).forEach((head, index) => {
      const value = head[name];
      if (value !== null && value !== undefined) {
        ranked.push({ layer: Number(layer), head: index, value });
      }
    });
  }
  return ranked.sort((a, b) => b.value - a.value);
}

/** What the colours span over these values. */
export function domainOf(statistic: Statistic, values: readonly (number | null)[]): [number, number] {
  if (statistic.domain === "unit") {
    return [0, 1];
  }
  const largest = values.reduce<number>((most, value) => Math.max(most, value ?? 0), 0);
  return [0, largest === 0 ? 1 : largest];
}
