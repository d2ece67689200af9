// What is known of heads, layers and tokens: their metrics, and heads' roles in words. The daemon says which there are.

import type { Analysis, Metric } from "../../src/protocol";
import type { TraceData } from "../../src/shared/messages";

export type HeadStatistics = Record<string, number | null>;

export interface Statistic extends Metric {
  name: string;
}

type Role = Statistic & { role: NonNullable<Metric["role"]> };

export function metricsOf({ metrics }: Pick<TraceData, "metrics">, of: Metric["of"]): Statistic[] {
  return Object.entries(metrics).flatMap(([name, metric]) => (metric.of === of ? [{ name, ...metric }] : []));
}

/** Of heads. */
export function statisticsOf(trace: Pick<TraceData, "metrics">): Statistic[] {
  return metricsOf(trace, "head");
}

export function rolesOf(trace: Pick<TraceData, "metrics">): Role[] {
  return statisticsOf(trace).filter((statistic): statistic is Role => statistic.role != null);
}

/** The one of that name, else the first; null where the trace comes with none. */
export function statisticNamed(trace: Pick<TraceData, "metrics">, name: string): Statistic | null {
  const statistics = statisticsOf(trace);
  return statistics.find((statistic) => statistic.name === name) ?? statistics[0] ?? null;
}

export function headsOf(analysis: Analysis, layer: number): HeadStatistics[] {
  const heads = analysis.attention?.layer_stats[String(layer)]?.heads;
  return Array.isArray(heads) ? heads : [];
}

export function headStatistics(analysis: Analysis, layer: number, head: number): HeadStatistics | undefined {
  return headsOf(analysis, layer)[head];
}

export interface PlayedRole {
  statistic: Role;
  value: number;
  /** Enough of the head's weight goes there to say that it plays the role. */
  clear: boolean;
}

/** The role that most of a head's weight goes to. */
export function bestRole(trace: Pick<TraceData, "metrics">, head: HeadStatistics | undefined): PlayedRole | null {
  let best: PlayedRole | null = null;
  for (const statistic of rolesOf(trace)) {
    const value = head?.[statistic.name];
    if (value !== null && value !== undefined && (best === null || value > best.value)) {
      best = { statistic, value, clear: value >= statistic.role.at };
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
export function rankedHeads(analysis: Analysis, name: string): RankedHead[] {
  const ranked: RankedHead[] = [];
  for (const layer of Object.keys(analysis.attention?.layer_stats ?? {}).map(Number)) {
    headsOf(analysis, layer).forEach((head, index) => {
      const value = head[name];
      if (value !== null && value !== undefined) {
        ranked.push({ layer, head: index, value });
      }
    });
  }
  return ranked.sort((a, b) => b.value - a.value);
}

/** What the colours span over these values: the metric's own span, or 0 to the largest head's. */
export function domainOf({ span }: Pick<Metric, "span">, values: readonly (number | null)[]): [number, number] {
  if (span != null) {
    return span;
  }
  const largest = values.reduce<number>((most, value) => Math.max(most, value ?? 0), 0);
  return [0, largest === 0 ? 1 : largest];
}
