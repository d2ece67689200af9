// Two traces side by side: where their tokens part, and how differently the models saw the tokens before that.

import { plain, tokenCode } from "./plain_text";
import type { TokenRow, TraceSummary } from "./protocol";

export interface Compared {
  summary: TraceSummary;
  tokens: readonly TokenRow[];
}

export interface ComparedRow {
  position: number;
  one: TokenRow | undefined;
  other: TokenRow | undefined;
  /** Bits, other less one; null after the parting, and where a trace has none. */
  difference: number | null;
}

export interface Comparison {
  /** The first position whose tokens differ, or that one of them lacks; null: they are the same all through. */
  parting: number | null;
  rows: ComparedRow[];
}

/** After the parting the texts differ, and a difference in surprisal would compare nothing with nothing. */
export function compared(one: readonly TokenRow[], other: readonly TokenRow[]): Comparison {
  const length = Math.max(one.length, other.length);
  const found = Array.from({ length }, (_, index) => index).find((index) => one[index]?.id !== other[index]?.id);
  const parting = found ?? null;
  const rows = Array.from({ length }, (_, position) => {
    const [first, second] = [one[position], other[position]];
    const both = parting === null || position < parting;
    const surprisals = [first?.surprisal ?? null, second?.surprisal ?? null] as const;
    const difference = both && surprisals[0] !== null && surprisals[1] !== null ? surprisals[1] - surprisals[0] : null;
    return { position, one: first, other: second, difference };
  });
  return { parting, rows };
}

export function comparisonReport(one: Compared, other: Compared): string {
  const { parting, rows } = compared(one.tokens, other.tokens);
  const facts = FACTS.map(([name, value]) => `| ${name} | ${value(one)} | ${value(other)} |`);
  return [
    "# Two traces",
    "",
    "| | A | B |",
    "| --- | --- | --- |",
    ...facts,
    "",
    verdict(parting, one.tokens, other.tokens),
    "",
    ...differences(rows),
    "## Token by token",
    "",
    "Surprisal is in bits; a dash stands where a trace has none.",
    "",
    "| | A | | B | | B − A |",
    "| ---: | --- | ---: | --- | ---: | ---: |",
    ...rows.map((row) => tokenLine(row, row.position === parting)),
    "",
  ].join("\n");
}

const FACTS: readonly (readonly [string, (trace: Compared) => string])[] = [
  ["trace", ({ summary }) => plain(summary.trace_id)],
  ["prompt", ({ summary }) => plain(summary.prompt)],
  ["response", ({ summary }) => plain(summary.response)],
  ["model", ({ summary: { model } }) => plain(words(model, ["source", "tag", "step", "era"]))],
  ["settings", ({ summary: { generation } }) => plain(settings(generation))],
  ["tokens", ({ tokens }) => String(tokens.length)],
  ["mean surprisal of the response", ({ tokens }) => bits(mean(tokens.filter((row) => row.generated)))],
];

function verdict(parting: number | null, one: readonly TokenRow[], other: readonly TokenRow[]): string {
  if (parting === null) {
    return `**The tokens are the same all through**, ${one.length} positions.`;
  }
  const [a, b] = [one[parting], other[parting]];
  if (a === undefined || b === undefined) {
    return `**${a === undefined ? "A" : "B"} ends before position ${parting}**; the other has the same tokens up to there, and goes on.`;
  }
  return (
    `**They part at position ${parting}**: A has ${tokenCode(a.text)}, B has ${tokenCode(b.text)}. From there on the texts differ, ` +
    "so the rows stand side by side only by their number, and no difference is given."
  );
}

function differences(rows: readonly ComparedRow[]): string[] {
  const shared = rows.flatMap((row) => (row.difference === null ? [] : [{ row, size: Math.abs(row.difference) }]));
  const largest = shared.reduce<(typeof shared)[number] | undefined>(
    (best, next) => (best === undefined || next.size > best.size ? next : best),
    undefined,
  );
  if (largest === undefined) {
    return [];
  }
  const average = shared.reduce((sum, { size }) => sum + size, 0) / shared.length;
  const where = `position ${largest.row.position}, ${tokenCode(largest.row.one?.text ?? "")}`;
  return [
    `Over the ${shared.length} shared tokens that both have a surprisal for, it differs by ${bits(average)} bits in the mean, ` +
      `at most by ${bits(largest.size)} (${where}).`,
    "",
  ];
}

function tokenLine({ position, one, other, difference }: ComparedRow, parts: boolean): string {
  const cells = [one, other].flatMap((row) =>
    row === undefined ? ["", ""] : [tokenCode(row.text), bits(row.surprisal)],
  );
  const sign = difference !== null && difference > 0 ? "+" : "";
  const last = difference === null ? (parts ? "**part here**" : "") : `${sign}${bits(difference)}`;
  return `| ${position} | ${[...cells, last].join(" | ")} |`;
}

function settings(generation: Compared["summary"]["generation"]): string {
  const names = ["temperature", "top_k", "seed", "max_tokens"];
  return names.flatMap((name) => (generation?.[name] == null ? [] : [`${name} ${shown(generation[name])}`])).join(", ");
}

function words(values: Record<string, unknown> | null, names: readonly string[]): string {
  const given = names.flatMap((name) => (values?.[name] == null ? [] : [shown(values[name])]));
  return [...new Set(given)].join(" ");
}

function shown(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function mean(rows: readonly TokenRow[]): number | null {
  const values = rows.flatMap(({ surprisal }) => (surprisal === null ? [] : [surprisal]));
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}

function bits(value: number | null): string {
  return value === null ? "–" : (Math.round(value * 1000) / 1000 || 0).toFixed(3).replace("-", "−");
}
