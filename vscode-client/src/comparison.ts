// Two traces side by side: their tokens as the daemon aligns them, and the heads that look at them differently.

import { plain, tokenCode } from "./plain_text";
import type { CompareTracesResult, PositionPair, TokenRow, TraceSummary } from "./protocol";

const SHOWN_HEADS = 8;

export interface Compared {
  summary: TraceSummary;
  tokens: readonly TokenRow[];
}

export interface ComparedRow {
  one: TokenRow | undefined;
  other: TokenRow | undefined;
  same: boolean;
  /** Bits, other less one; null where the tokens differ, and where a trace has none. */
  difference: number | null;
}

/** The rows that belong together; what a token surprises by is compared where both texts have the same. */
export function compared(
  one: readonly TokenRow[],
  other: readonly TokenRow[],
  { pairs }: { pairs: readonly PositionPair[] },
): ComparedRow[] {
  return pairs.map(({ a, b, same }) => {
    const first = a === null ? undefined : one[a];
    const second = b === null ? undefined : other[b];
    const [before, after] = [first?.surprisal ?? null, second?.surprisal ?? null];
    const difference = same && before !== null && after !== null ? after - before : null;
    return { one: first, other: second, same, difference };
  });
}

/** `note`: what of the heads is missing. */
export function comparisonReport(one: Compared, other: Compared, result: CompareTracesResult, note = ""): string {
  const rows = compared(one.tokens, other.tokens, result);
  const facts = FACTS.map(([name, value]) => `| ${name} | ${value(one)} | ${value(other)} |`);
  return [
    "# Two traces",
    "",
    "| | A | B |",
    "| --- | --- | --- |",
    ...facts,
    "",
    verdict(rows),
    "",
    ...differences(rows),
    ...heads(result),
    ...(note === "" ? [] : [note, ""]),
    "## Token by token",
    "",
    "Surprisal is in bits; a dash stands where a trace has none.",
    "",
    "| | A | | | B | | B − A |",
    "| ---: | --- | ---: | ---: | --- | ---: | ---: |",
    ...rows.map(tokenLine),
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

function verdict(rows: readonly ComparedRow[]): string {
  const same = rows.filter((row) => row.same).length;
  const first = rows.find((row) => !row.same);
  if (first === undefined) {
    return `**The tokens are the same all through**, ${rows.length} positions.`;
  }
  const { one, other } = first;
  const place =
    one === undefined || other === undefined
      ? `The first that ${one === undefined ? "B" : "A"} alone has is ${named(one ?? other)}`
      : `The first to differ are ${named(one)} in A and ${named(other)} in B`;
  return `**${same} of ${rows.length} positions have the same token.** ${place}. What follows is compared again where it is the same.`;
}

function named(row: TokenRow | undefined): string {
  return row === undefined ? "" : `${code(row)} at ${row.position}`;
}

/** The heads that look at the two texts most differently. */
function heads({ layers }: CompareTracesResult): string[] {
  const found = layers.flatMap(({ layer, heads: values }) =>
    values.flatMap((value, head) => (value === null ? [] : [{ name: `L${layer}H${head}`, value }])),
  );
  const most = found.sort((a, b) => b.value - a.value).slice(0, SHOWN_HEADS);
  if (most.length === 0) {
    return [];
  }
  return [
    "## Heads that differ most",
    "",
    "Over the positions of both, in bits: 0 alike, 1 nothing shared.",
    "",
    `| ${most.map(({ name }) => name).join(" | ")} |`,
    `| ${most.map(() => "---:").join(" | ")} |`,
    `| ${most.map(({ value }) => bits(value)).join(" | ")} |`,
    "",
  ];
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
  const where = named(largest.row.one);
  return [
    `Over the ${shared.length} shared tokens that both have a surprisal for, it differs by ${bits(average)} bits in the mean, ` +
      `at most by ${bits(largest.size)} (${where}).`,
    "",
  ];
}

function tokenLine({ one, other, same, difference }: ComparedRow): string {
  const cells = [one, other].flatMap((row) =>
    row === undefined
      ? ["", "", ""]
      : [String(row.position), same ? code(row) : `**${code(row)}**`, bits(row.surprisal)],
  );
  const sign = difference !== null && difference > 0 ? "+" : "";
  return `| ${[...cells, difference === null ? "" : sign + bits(difference)].join(" | ")} |`;
}

function code(row: TokenRow): string {
  return tokenCode(row.piece?.text ?? row.text) + (row.piece ? ` ${row.piece.index + 1}/${row.piece.count}` : "");
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
