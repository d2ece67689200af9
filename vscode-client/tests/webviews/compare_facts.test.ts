// What differs between two traces besides their texts, and what is alike.

import assert from "node:assert/strict";
import { test } from "node:test";
import { factsOf } from "../../webviews/compare/facts";

void test("what differs in model and settings", () => {
  const summary = (generation: Record<string, unknown> | null) => ({
    ...({} as Parameters<typeof factsOf>[0]),
    model: { source: "demo", parameters: 1_310_850 },
    generation,
    category: null,
  });
  const facts = factsOf(summary({ seed: 1, top_k: 50 }), summary({ seed: 2, top_k: 50, temperature: 0.5 }));
  assert.deepEqual(
    facts.filter(({ differs }) => differs).map(({ name, a, b }) => [name, a, b]),
    [
      ["Temperature", "–", "0.5"],
      ["Seed", "1", "2"],
    ],
  );
  assert.ok(facts.some(({ name, a }) => name === "Parameters" && a === "1,310,850"));
  assert.deepEqual(
    factsOf(summary(null), summary(null)).map(({ name }) => name),
    ["Model", "Parameters"],
  );
});

void test("of a trace and its child, first what was changed and where it was forked", () => {
  const summary = { ...({} as Parameters<typeof factsOf>[0]), generation: { seed: 1 } };
  const child = { ...summary, changed: "without L3H2", position: 5, generation: { seed: 2 } };
  assert.deepEqual(
    factsOf(summary, child).map(({ name, a, b }) => [name, a, b]),
    [
      ["Edited", "–", "without L3H2"],
      ["Forked at", "–", "5"],
      ["Seed", "1", "2"],
    ],
  );
});
