// Where a trace can be forked: at every token but the first, where it tells how it was written.

import assert from "node:assert/strict";
import { test } from "node:test";
import { noForkWords } from "../src/shared/fork_places";

const WHOLE = { generation: { temperature: 0, top_k: null, seed: 42, max_tokens: 8 } };

void test("at any token but the first", () => {
  assert.equal(noForkWords(WHOLE, 1), null);
  assert.equal(noForkWords(WHOLE, 8), null);
  assert.match(noForkWords(WHOLE, 0) ?? "", /begins with this token/);
  assert.match(noForkWords(WHOLE, null) ?? "", /Choose a token/);
});

void test("not where the trace does not tell its settings, which are named", () => {
  const { seed, ...rest } = WHOLE.generation;
  assert.equal(seed, 42);
  assert.match(noForkWords({ generation: rest }, 8) ?? "", /does not tell its seed, without/);
  assert.match(noForkWords({ generation: null }, 8) ?? "", /its temperature, top_k, seed, max_tokens, without/);
});
