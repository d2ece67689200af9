// Two traces side by side.

import assert from "node:assert/strict";
import { test } from "node:test";
import { compared, comparisonReport, type Compared } from "../src/comparison";
import type { CompareTracesResult, TokenRow } from "../src/protocol";

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

/** As the daemon answers where position n belongs to position n. */
function alike(same: boolean[]): CompareTracesResult {
  return { pairs: same.map((one, place) => ({ a: place, b: place, same: one })), layers: [] };
}

void test("a minimal pair is compared after the word that differs", () => {
  const rows = compared(
    tokens([0, null], [1, 1], [2, 2], [3, 3]),
    tokens([0, null], [1, 1.5], [9, 2], [3, 4]),
    alike([true, true, false, true]),
  );
  assert.deepEqual(
    rows.map(({ difference }) => difference),
    [null, 0.5, null, 1],
  );
});

void test("what one text alone has stands beside nothing", () => {
  const pairs = [
    { a: 0, b: 0, same: true },
    { a: null, b: 1, same: false },
    { a: 1, b: 2, same: true },
  ];
  const result = { pairs, layers: [] };
  const [one, other] = [tokens([0, null], [2, 1]), tokens([0, null], [1, 1], [2, 3])];
  const rows = compared(one, other, result);
  assert.deepEqual([rows[1]?.one, rows[1]?.other?.id, rows[2]?.difference], [undefined, 1, 2]);
  assert.match(comparisonReport(trace(one), trace(other), result), /first that B alone has is <code>·t1<\/code> at 1/);
});

void test("the page says what differs, and text cannot break its tables", () => {
  const [one, other] = [trace(tokens([0, null], [1, 1])), trace(tokens([0, null], [2, 1]))];
  const page = comparisonReport(one, other, {
    ...alike([true, false]),
    layers: [
      { layer: 0, heads: [0.1, null] },
      { layer: 3, heads: [0.5, 0.25] },
    ],
  });
  assert.match(page, /1 of 2 positions have the same token/);
  assert.match(page, /first to differ are <code>·t1<\/code> at 1 in A and <code>·t2<\/code> at 1 in B/);
  assert.match(page, /\| L3H0 \| L3H1 \| L0H0 \|/);
  assert.match(page, /\| prompt \| a \\\| b \| a \\\| b \|/);
  assert.match(page, /\| model \| demo 7 \| demo 7 \|/);
  const same = comparisonReport(one, trace(tokens([0, null], [1, 3])), alike([true, true]));
  assert.match(same, /same all through/);
  assert.match(same, /\+2\.000/);
});
