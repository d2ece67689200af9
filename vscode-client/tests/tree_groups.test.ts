// The traces tree's rows: groups, order, filter and words.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { TraceRow } from "../src/protocol";
import { description, facts, filtered, grouped, humanSize, label, madeAt } from "../src/views/tree_groups";

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
  assert.deepEqual(
    grouped(rows).map(({ category, rows: members }) => [category, members.map(({ trace_id }) => trace_id)]),
    [
      ["cities", ["c", "a"]],
      ["elements", ["b"]],
      ["general", ["x"]],
      ["unreadable", ["bad"]],
    ],
  );
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
