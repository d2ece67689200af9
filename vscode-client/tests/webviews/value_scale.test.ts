// How weights become colours.

import assert from "node:assert/strict";
import { test } from "node:test";
import { codeTypeFor, fittedTop, shareOf } from "../../webviews/matrix/value_scale";

const UNIT = { name: "unit", top: 1 } as const;
const LOG = { name: "log", top: 1 } as const;

void test("each scale has its ends, and lifts what is faint or does not", () => {
  for (const scale of [UNIT, LOG, { name: "fitted", top: 0.25 } as const]) {
    assert.equal(shareOf(0, scale), 0);
    assert.equal(shareOf(-1, scale), 0);
    assert.ok(Math.abs(shareOf(1, scale) - 1) < 1e-9);
    assert.ok(shareOf(2, scale) <= 1);
  }
  assert.equal(shareOf(0.01, UNIT), 0.01);
  assert.ok(shareOf(0.01, LOG) > 0.14);
  assert.equal(shareOf(0.01, { name: "fitted", top: 0.02 }), 0.5);
  assert.equal(codeTypeFor(1024, "unit"), "uint8");
  assert.equal(codeTypeFor(1024, "log"), "float16");
  assert.equal(codeTypeFor(1024, "fitted"), "float16");
});

void test("the fitted scale has room for nine rows in ten", () => {
  assert.equal(fittedTop([]), 1);
  assert.equal(fittedTop([0, 0]), 1); // rows that see the first token alone say nothing
  assert.equal(fittedTop([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((tenths) => tenths / 10)), 0.9);
  const even = Array.from({ length: 1023 }, (_, row) => 1 / (row + 2)); // of a head that looks everywhere
  assert.ok(fittedTop(even) < 0.011);
});
