// Titles that tell two prompts apart, and what a webview kept of its places.

import assert from "node:assert/strict";
import { test } from "node:test";
import { comparedTitle } from "../src/comparison_title";
import { placesOf } from "../src/shared/compare_messages";

void test("short prompts are whole, long ones begin where they differ", () => {
  assert.equal(comparedTitle("gold is", "silver is"), "gold is ↔ silver is");
  assert.equal(
    comparedTitle("The chemical symbol of the metal gold is", "The chemical symbol of the metal silver is"),
    "…gold is ↔ …silver is",
  );
});

void test("what is too long is cut, and the same prompt twice keeps its beginning", () => {
  const long = "word ".repeat(40);
  assert.equal(
    comparedTitle(long, long),
    "word word word word word … ↔ word word word word word …".replaceAll(" …", " …"),
  );
  assert.ok(comparedTitle("x".repeat(300), "y").length < 60);
  assert.equal(comparedTitle("", " \n"), "(no prompt) ↔ (no prompt)");
  assert.equal(comparedTitle("a\n\tb", "a c"), "a b ↔ a c");
});

void test("a word or two that both begin with are kept", () => {
  assert.equal(
    comparedTitle("The capital of Norway is Oslo indeed", "The symbol"),
    "The capital of Norway is … ↔ The symbol",
  );
});

void test("a prompt that goes on from the other still has words", () => {
  const one = "The capital of the country Norway is";
  assert.equal(comparedTitle(one, `${one} Oslo`), "…is ↔ …is Oslo");
});

void test("places come back from what a webview kept, or not at all", () => {
  const [one, other] = [
    { folder: "/a", traceId: "trace_1" },
    { folder: "/b", traceId: "trace_2" },
  ];
  assert.deepEqual(placesOf({ places: { one, other, swapped: true }, looking: {} }), { one, other, swapped: true });
  for (const kept of [undefined, null, 3, {}, { places: { one } }, { places: { one, other: { folder: 1 } } }]) {
    assert.equal(placesOf(kept), null);
  }
});
