// What tells a trace from others of the same prompt: its time, what was changed in its model, the settings that differ,
// and a model that few have.

import type { TraceRow } from "../protocol";
import { exactTime, shortTime } from "./trace_times";

type Setting = "temperature" | "seed" | "top_k" | "max_tokens";

const SETTINGS: readonly { name: Setting; word: (value: number) => string }[] = [
  { name: "temperature", word: (value) => `T ${Number(value.toPrecision(6))}` },
  { name: "seed", word: (value) => `seed ${value}` },
  { name: "top_k", word: (value) => `top-k ${value === 0 ? "all" : value}` },
  { name: "max_tokens", word: (value) => `max ${value}` },
];

export interface Difference {
  /** Changes, time, settings and model, in that order, as far as they are told and worth telling. */
  words: readonly string[];
  /** Whether another row has the same prompt. */
  twin: boolean;
}

/** How it was made from its parent. */
function lineage(row: TraceRow): string[] {
  const forked = row.position == null ? [] : [`forked at ${row.position}`];
  return row.changed == null ? forked : [...forked, row.changed];
}

/** By trace id, of all rows that can be read. */
export function differences(rows: readonly TraceRow[], now: Date): Map<string, Difference> {
  const usual = usualModel(rows);
  const found = new Map<string, Difference>();
  for (const alike of byPrompt(rows).values()) {
    const settings = SETTINGS.filter(({ name }) => new Set(alike.map((row) => row[name] ?? null)).size > 1);
    const rest = alike.map((row) => [
      ...lineage(row),
      ...settings.flatMap(({ name, word }) => (row[name] == null ? [] : [word(row[name])])),
      ...(row.model == null || row.model === usual ? [] : [row.model]),
    ]);
    const times = distinctTimes(alike, rest, now);
    for (const [place, row] of alike.entries()) {
      const time = times[place] ?? "";
      const made = lineage(row);
      const others = rest[place]?.slice(made.length) ?? [];
      const words = [...made, ...(time === "" ? [] : [time]), ...others];
      found.set(row.trace_id, { words, twin: alike.length > 1 });
    }
  }
  return found;
}

/** All that the trace tells of its model and settings, for tooltips. */
export function madeWith(row: TraceRow): string {
  const settings = SETTINGS.flatMap(({ name, word }) => (row[name] == null ? [] : [word(row[name])]));
  return [row.changed ?? "", row.model ?? "", ...settings].filter((word) => word !== "").join(", ");
}

function byPrompt(rows: readonly TraceRow[]): Map<string, TraceRow[]> {
  const groups = new Map<string, TraceRow[]>();
  for (const row of rows.filter(({ readable }) => readable)) {
    const alike = groups.get(row.prompt);
    if (alike === undefined) {
      groups.set(row.prompt, [row]);
    } else {
      alike.push(row);
    }
  }
  return groups;
}

function usualModel(rows: readonly TraceRow[]): string | undefined {
  const counts = new Map<string, number>();
  for (const { model } of rows) {
    if (model != null) {
      counts.set(model, (counts.get(model) ?? 0) + 1);
    }
  }
  return [...counts].reduce<[string, number] | undefined>(
    (most, each) => (most === undefined || each[1] > most[1] ? each : most),
    undefined,
  )?.[0];
}

/** Short times, and to the second where rows would read the same. */
function distinctTimes(rows: readonly TraceRow[], rest: readonly string[][], now: Date): string[] {
  const short = rows.map(({ timestamp }) => shortTime(timestamp, now));
  const read = short.map((time, place) => [time, ...(rest[place] ?? [])].join(" · "));
  const counts = new Map<string, number>();
  for (const text of read) {
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return rows.map(({ timestamp }, place) =>
    (counts.get(read[place] ?? "") ?? 0) > 1 ? exactTime(timestamp, now) : (short[place] ?? ""),
  );
}
