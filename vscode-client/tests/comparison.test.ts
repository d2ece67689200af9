// Two traces side by side.

import assert from "node:assert/strict";
import { test } from "node:test";
import { compared, comparisonReport, type Compared } from "../src/comparison";
import type { TokenRow } from "../src/protocol";

function tokens(...rows: [number, number | null][]): TokenRow[] {
  return rows.map(([id, surprisal], position) => ({
    position,
    id,
    text: ` t${id}`,
    forced: false,
    generated: position > 1,
    surprisal,
    top: [],
  }));
}

function trace(rows: TokenRow[]): Compared {
  return {
    tokens: rows,
    summary: {
      trace_id: "trace_1",
      timestamp: "",
      prompt: "a | b",
      response: "",
      category: null,
      metadata: {},
      model: { source: "demo", tag: "demo", step: 7 },
      generation: { seed: 42, temperature: 0 },
      data_info: { num_layers: 1, num_tokens: rows.length, num_steps: 1, intermediate_steps: false, tensors: {} },
    },
  };
}

void test("differences are given up to where the tokens part, and not after", () => {
  const { parting, rows } = compared(
    tokens([0, null], [1, 1], [2, 2], [3, 3]),
    tokens([0, null], [1, 1.5], [9, 2], [3, 4]),
  );
  assert.equal(parting, 2);
  assert.deepEqual(
    rows.map(({ difference }) => difference),
    [null, 0.5, null, null],
  );
});

void test("the same tokens all through do not part; a longer text parts where the shorter ends", () => {
  const one = tokens([0, null], [1, 1]);
  assert.equal(compared(one, tokens([0, null], [1, 1])).parting, null);
  const { parting, rows } = compared(one, tokens([0, null], [1, 1], [2, 2]));
  assert.equal(parting, 2);
  assert.equal(rows.length, 3);
  assert.equal(rows[2]?.one, undefined);
});

void test("the page says where they part, and text cannot break its tables", () => {
  const page = comparisonReport(trace(tokens([0, null], [1, 1])), trace(tokens([0, null], [2, 1])));
  assert.match(page, /They part at position 1/);
  assert.match(page, /\| prompt \| a \\\| b \| a \\\| b \|/);
  assert.match(page, /\| model \| demo 7 \| demo 7 \|/);
  assert.match(page, /<code>·t1<\/code>/);
  const alike = comparisonReport(trace(tokens([0, null], [1, 1])), trace(tokens([0, null], [1, 3])));
  assert.match(alike, /same all through/);
  assert.match(alike, /\+2\.000/);
});
