// The selection: changes, what fits a trace, what comes back after a reload.

import assert from "node:assert/strict";
import { test } from "node:test";
import { changed, fitted, NOTHING, parsed, same } from "../src/selection";

const SIZE = { layers: 4, heads: 2, positions: 10, steps: 3 };

void test("another trace keeps layer and head, and drops token and step", () => {
  const before = { traceId: "one", layer: 3, head: 1, token: 5, step: 2 };
  assert.deepEqual(changed(before, { traceId: "two" }), { traceId: "two", layer: 3, head: 1, token: null, step: null });
  assert.deepEqual(changed(before, { traceId: "one", token: 6 }), { ...before, token: 6 });
  assert.deepEqual(changed(before, { traceId: "two", token: 1 }).token, 1);
});

void test("what a trace does not have is not selected in it", () => {
  const selection = { traceId: "one", layer: 9, head: 9, token: 10, step: 3 };
  assert.deepEqual(fitted(selection, SIZE), { traceId: "one", layer: 3, head: 1, token: null, step: null });
  assert.deepEqual(fitted({ ...selection, layer: 2, head: 0, token: 9, step: 0 }, SIZE).token, 9);
  assert.deepEqual(fitted(selection, { ...SIZE, layers: 0, heads: 0 }).layer, 0);
});

void test("only what has the right type is taken from outside", () => {
  assert.deepEqual(parsed({ traceId: "one", layer: 1, head: -1, token: 1.5, step: null, evil: 1 }), {
    traceId: "one",
    layer: 1,
    step: null,
  });
  assert.deepEqual(parsed("nonsense"), {});
  assert.deepEqual(parsed(null), {});
});

void test("selections are compared by what they select", () => {
  assert.ok(same(NOTHING, { ...NOTHING }));
  assert.ok(!same(NOTHING, { ...NOTHING, step: 0 }));
});
