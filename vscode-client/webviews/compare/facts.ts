// What differs between two traces besides their texts: what was changed on the way, the model and the settings.

import type { TraceSummary } from "../../src/protocol";

export interface Fact {
  name: string;
  a: string;
  b: string;
  differs: boolean;
}

const MODEL: readonly (readonly [string, string])[] = [
  ["source", "Model"],
  ["tag", "Model tag"],
  ["step", "Training step"],
  ["era", "Architecture"],
  ["parameters", "Parameters"],
  ["dtype", "Computed in"],
  ["device", "Device"],
];
const SETTINGS: readonly (readonly [string, string])[] = [
  ["temperature", "Temperature"],
  ["top_k", "Top-k"],
  ["seed", "Seed"],
  ["max_tokens", "Max tokens"],
  ["stop_reason", "Stopped by"],
];
const NONE = "–";
const LONGEST = 80;

/** Every fact that one of both has, those that differ first. */
export function factsOf(a: TraceSummary, b: TraceSummary): Fact[] {
  const facts = [...rows(MODEL, a.model, b.model), ...rows(SETTINGS, a.generation, b.generation)];
  const made = [fact("Edited", a.changed, b.changed), fact("Forked at", a.position, b.position)];
  const category = fact("Category", a.category, b.category);
  return [...made, ...facts, category].filter((one) => one.a !== NONE || one.b !== NONE);
}

function rows(names: typeof MODEL, a: Values, b: Values): Fact[] {
  return names.map(([key, name]) => fact(name, a?.[key], b?.[key]));
}

type Values = Record<string, unknown> | null;

function fact(name: string, a: unknown, b: unknown): Fact {
  const [one, other] = [shown(a), shown(b)];
  return { name, a: one, b: other, differs: one !== other };
}

function shown(value: unknown): string {
  if (value === null || value === undefined || value === "") {
    return NONE;
  }
  const text =
    typeof value === "string" ? value : typeof value === "number" ? numberText(value) : JSON.stringify(value);
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
}

function numberText(value: number): string {
  return Math.abs(value) >= 10_000 ? value.toLocaleString("en") : String(value);
}
