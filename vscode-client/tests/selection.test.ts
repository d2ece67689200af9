// The selection: changes, what fits a trace, what comes back after a reload.

import assert from "node:assert/strict";
import { test } from "node:test";
import { changed, fitted, NOTHING, parsed, same } from "../src/selection";

const SIZE = { layers: [0, 1, 2, 3], heads: 2, positions: 10, steps: 3 };

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
  assert.deepEqual(fitted(selection, { ...SIZE, layers: [], heads: 0 }).layer, 9);
});

void test("of layers 1 and 3 alone the nearest is selected, the same one wherever it is asked for", () => {
  const selection = { traceId: "one", layer: 0, head: 0, token: null, step: null };
  const some = { ...SIZE, layers: [1, 3] };
  assert.deepEqual(
    [0, 1, 2, 3, 9].map((layer) => fitted({ ...selection, layer }, some).layer),
    [1, 1, 1, 3, 3],
  );
});

void test("a trace that was looked at before has its token and its step again", () => {
  const before = { traceId: "one", layer: 3, head: 1, token: 5, step: 2 };
  const places = new Map([["two", { token: 7, step: null }]]);
  const after = changed(before, { traceId: "two" }, places);
  assert.deepEqual(after, { traceId: "two", layer: 3, head: 1, token: 7, step: null });
  assert.equal(changed(before, { traceId: "three" }, places).token, null);
  assert.equal(changed(before, { traceId: "two", token: 1 }, places).token, 1);
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
