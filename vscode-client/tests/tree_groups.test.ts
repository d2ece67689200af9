// The traces tree's rows: groups, order, filter and words.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { TraceRow } from "../src/protocol";
import { differences } from "../src/views/trace_differences";
import { families, members, type Family } from "../src/views/trace_families";
import { exactTime, shortTime, spanOf, untilMidnight } from "../src/views/trace_times";
import {
  clippedInside,
  description,
  facts,
  filtered,
  grouped,
  humanSize,
  isGrouping,
  label,
  madeAt,
  rowWords,
  type Grouping,
} from "../src/views/tree_groups";

const NOW = new Date(2026, 10, 26, 15, 30); // a Thursday

function row(trace_id: string, more: Partial<TraceRow> = {}): TraceRow {
  return {
    trace_id,
    timestamp: "2026-01-01T12:00:00.000000",
    category: "elements",
    prompt: "The symbol of gold is",
    response: " Au.",
    prompt_tokens: 6,
    response_tokens: 3,
    size: 25_456,
    format: "safetensors",
    readable: true,
    reason: "",
    path: `/traces/${trace_id}.safetensors`,
    ...more,
  };
}

void test("groups stand in the order of their newest traces, the unreadable last", () => {
  const rows = [
    row("bad", { readable: false, category: null, reason: "cut short" }),
    row("c", { category: "cities" }),
    row("b"),
    row("a", { category: "cities" }),
    row("x", { category: null }),
  ];
  assert.deepEqual(shown(rows, "category"), [
    ["cities", ["c", "a"]],
    ["elements", ["b"]],
    ["general", ["x"]],
    ["unreadable", ["bad"]],
  ]);
});

void test("a category named unreadable is not that of what cannot be read", () => {
  const rows = [row("bad", { readable: false }), row("a", { category: "unreadable" })];
  assert.deepEqual(shown(rows, "category"), [
    ["unreadable", ["a"]],
    ["unreadable", ["bad"]],
  ]);
  const [one, other] = grouped(families(rows), "category", NOW);
  assert.notEqual(one?.key, other?.key);
});

void test("groups by time stand from today on, whatever the rows' order", () => {
  const rows = [
    row("none", { timestamp: "yesterday" }),
    row("month", { timestamp: "2026-11-02T10:00:00" }),
    row("monday", { timestamp: "2026-11-23T00:00:00" }),
    row("sunday", { timestamp: "2026-11-22T23:59:59" }),
    row("yesterday", { timestamp: "2026-11-25T23:59:59" }),
    row("tomorrow", { timestamp: "2026-11-27T10:00:00" }),
    row("today", { timestamp: "2026-11-26T00:00:00" }),
    row("old", { timestamp: "2025-12-31T10:00:00" }),
    row("bad", { readable: false, timestamp: "" }),
  ];
  assert.deepEqual(shown(rows, "time"), [
    ["Today", ["tomorrow", "today"]],
    ["Yesterday", ["yesterday"]],
    ["This Week", ["monday"]],
    ["November 2026", ["month", "sunday"]],
    ["December 2025", ["old"]],
    ["No Date", ["none"]],
    ["unreadable", ["bad"]],
  ]);
});

void test("groups by model and by prompt", () => {
  const rows = [
    row("a", { model: null }),
    row("b", { model: "demo", prompt: "" }),
    row("c", { model: "d12 · 2289" }),
    row("d", { model: "demo" }),
  ];
  assert.deepEqual(shown(rows, "model"), [
    ["demo", ["b", "d"]],
    ["d12 · 2289", ["c"]],
    ["No Model Named", ["a"]],
  ]);
  assert.deepEqual(shown(rows, "prompt"), [
    ["The symbol of gold is", ["a", "c", "d"]],
    ["(no prompt)", ["b"]],
  ]);
  assert.deepEqual([isGrouping("time"), isGrouping("toString"), isGrouping(undefined)], [true, false, false]);
});

function shown(rows: readonly TraceRow[], by: Grouping): [string, string[]][] {
  return grouped(families(rows), by, NOW).map(({ name, families: found }) => [
    name,
    found.flatMap(members).map(({ trace_id }) => trace_id),
  ]);
}

type Tree = [string, ...Tree[]];

function treeOf({ row: { trace_id }, children }: Family): Tree {
  return [trace_id, ...children.map(treeOf)];
}

void test("children stand under their parents, whose group is theirs too; without them at the top", () => {
  const rows = [
    row("grandchild", { parent: "child" }),
    row("child", { parent: "root", category: "forks" }),
    row("root"),
    row("orphan", { parent: "gone" }),
    row("second", { parent: "root" }),
  ];
  assert.deepEqual(families(rows).map(treeOf), [["root", ["child", ["grandchild"]], ["second"]], ["orphan"]]);
  const [group] = grouped(families(rows), "category", NOW);
  assert.deepEqual([group?.name, group?.count], ["elements", 5]);
});

void test("circles are cut, and long lines of descent stay flat", () => {
  const circle = [row("a", { parent: "c" }), row("b", { parent: "a" }), row("c", { parent: "b" })];
  assert.deepEqual(families(circle).flatMap(members).length, 3);
  assert.deepEqual(families([row("own", { parent: "own" })]).map(treeOf), [["own"]]);
  const into = [row("x", { parent: "a" }), ...circle];
  assert.equal(families(into).flatMap(members).length, 4);
  const line = Array.from({ length: 10_000 }, (_, place) => row(`t${place}`, { parent: `t${place + 1}` }));
  const found = families(line);
  assert.equal(found.flatMap(members).length, line.length);
  const depth = ({ children }: Family): number => 1 + Math.max(0, ...children.map(depth));
  assert.ok(Math.max(...found.map(depth)) <= 13);
});

function words(rows: readonly TraceRow[]): string[] {
  const found = differences(rows, NOW);
  return rows.map(({ trace_id }) => found.get(trace_id)?.words.join(" · ") ?? "");
}

const MADE = { model: "demo", temperature: 0.6, top_k: 50, seed: 42, max_tokens: 32 };

void test("rows of one prompt tell the settings in which they differ, and a model that few have", () => {
  const at = (hour: number): Partial<TraceRow> => ({ ...MADE, timestamp: `2026-11-26T${hour}:03:00` });
  assert.deepEqual(
    words([
      row("a", at(10)),
      row("b", { ...at(11), temperature: 0.8, seed: 7 }),
      row("c", { ...at(12), model: "d12 · 2289" }),
      row("d", { ...at(13), prompt: "Another", top_k: 0, max_tokens: 1 }),
    ]),
    ["10:03 · T 0.6 · seed 42", "11:03 · T 0.8 · seed 7", "12:03 · T 0.6 · seed 42 · d12 · 2289", "13:03"],
  );
  assert.deepEqual(words([row("a", { ...at(10), top_k: 0, max_tokens: 1 }), row("b", at(11))]), [
    "10:03 · top-k all · max 1",
    "11:03 · top-k 50 · max 32",
  ]);
});

void test("a row that does not tell a setting has no word for it, and rows that would read the same tell their seconds", () => {
  const timestamp = "2026-11-26T10:03:05";
  assert.deepEqual(words([row("a", { timestamp, seed: 7 }), row("b", { timestamp })]), ["10:03 · seed 7", "10:03"]);
  assert.deepEqual(
    words([row("a", { timestamp }), row("b", { timestamp: "2026-11-26T10:03:59" }), row("c", { timestamp: "" })]),
    ["10:03:05", "10:03:59", ""],
  );
  assert.equal(differences([row("bad", { readable: false })], NOW).size, 0);
});

void test("ten thousand rows of one prompt are told apart at once", () => {
  const rows = Array.from({ length: 10_000 }, (_, place) => row(`t${place}`, { ...MADE, seed: place }));
  const begun = performance.now();
  assert.equal(new Set(words(rows)).size, rows.length);
  assert.ok(performance.now() - begun < 1_000);
});

void test("times are as short as they can be", () => {
  assert.equal(shortTime("2026-11-26T14:03:09", NOW), "14:03");
  assert.equal(shortTime("2026-11-12T14:03:09", NOW), "12 Nov");
  assert.equal(shortTime("2024-11-02T14:30:22.123456", NOW), "2 Nov 2024");
  assert.equal(exactTime("2026-11-12T14:03:09", NOW), "12 Nov 14:03:09");
  for (const odd of ["", "5", "yesterday", "0000-99-99T00:00:00+00:00"]) {
    assert.deepEqual([shortTime(odd, NOW), exactTime(odd, NOW), spanOf(odd, NOW).name], ["", "", "No Date"]);
  }
  assert.equal(untilMidnight(NOW), 8.5 * 3_600_000);
});

void test("what was changed comes first, and tells rows of one prompt apart", () => {
  const timestamp = "2026-11-26T10:03:00";
  const rows = [row("a", { timestamp }), row("b", { timestamp, changed: "without L3H2" })];
  assert.deepEqual(words(rows), ["10:03", "without L3H2 · 10:03"]);
});

void test("the words of a row: its response under its prompt, and no model under that", () => {
  const one = row("a", { ...MADE, prompt: `The capital of ${"x".repeat(40)} Germany is` });
  const told = { words: ["14:03", "seed 7"], twin: true };
  assert.deepEqual(rowWords(one, told, "category"), {
    label: "The capital of…ermany is",
    rest: "14:03 · seed 7 → Au.",
  });
  assert.deepEqual(rowWords(one, told, "prompt"), { label: "Au.", rest: "14:03 · seed 7" });
  assert.deepEqual(rowWords(row("b", { response: "" }), told, "prompt"), {
    label: "(no response)",
    rest: "14:03 · seed 7",
  });
  assert.equal(rowWords(one, { words: ["14:03", "demo"], twin: false }, "model").rest, "14:03 → Au.");
  assert.equal(rowWords(row("c"), { words: [], twin: false }, "time").rest, "Au.");
  assert.deepEqual(rowWords(row("d", { readable: false, reason: "cut short" }), told, "prompt"), {
    label: "d",
    rest: "cut short",
  });
  assert.equal(clippedInside(`${"👩‍👩‍👧‍👦".repeat(40)}end`, 10), `${"👩‍👩‍👧‍👦".repeat(5)}…👩‍👩‍👧‍👦end`);
});

void test("a filter wants all of its words, anywhere, in any case", () => {
  const rows = [row("a"), row("b", { prompt: "The capital of France is", response: " Paris." })];
  assert.deepEqual(
    filtered(rows, "GOLD au").map(({ trace_id }) => trace_id),
    ["a"],
  );
  assert.equal(filtered(rows, "gold paris").length, 0);
  assert.equal(filtered(rows, "  ").length, 2);
  assert.equal(filtered(rows, "elements").length, 2);
});

void test("a row says its prompt and response on one line, a damaged one its id and the reason", () => {
  const long = row("a", { prompt: `\n\nOne\n  two ${"x".repeat(200)}` });
  assert.match(label(long), /^One two x+…$/);
  assert.equal(description(row("a")), "Au.");
  const bad = row("bad", { readable: false, reason: "cut short" });
  assert.deepEqual([label(bad), description(bad)], ["bad", "cut short"]);
  assert.equal(label(row("a", { prompt: "" })), "(no prompt)");
});

void test("facts give counts, time and file", () => {
  assert.deepEqual(facts(row("a")), [
    "6 tokens of prompt, 3 of response",
    "2026-01-01 12:00:00",
    "a.safetensors, 25.5 kB",
  ]);
  assert.equal(facts(row("a", MADE))[1], "demo, T 0.6, seed 42, top-k 50, max 32");
  assert.equal(madeAt("yesterday"), "yesterday");
  assert.equal(madeAt("0000-99-99T00:00:00+00:00"), "0000-99-99 00:00:00+00:00");
  const zone = process.env.TZ;
  process.env.TZ = "JST-9";
  try {
    for (const timestamp of ["2026-01-01T12:00:00.123456+00:00", "2026-01-01T12:00:00Z", "2026-01-01T02:00:00-10:00"]) {
      assert.equal(madeAt(timestamp), "2026-01-01 21:00:00");
    }
  } finally {
    process.env.TZ = zone ?? "";
  }
  assert.equal(humanSize(999), "999 bytes");
  assert.equal(humanSize(1_500_000_000), "1.5 GB");
});
