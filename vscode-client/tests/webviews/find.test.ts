// Finding in a text of tokens.

import assert from "node:assert/strict";
import { test } from "node:test";
import { findAll, firstMatch, positionIn, textIndex } from "../../webviews/text/find";

const index = (...texts: string[]): ReturnType<typeof textIndex> =>
  textIndex(texts.map((text) => ({ text, piece: null })));
const found = (query: string, ...texts: string[]): string[] =>
  findAll(query, index(...texts)).map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`));

void test("a word is found in any case, and across the boundaries of its tokens", () => {
  assert.deepEqual(found("PARIS", "In", " Par", "is", ", Paris"), ["1-2", "3"]);
  assert.deepEqual(found("s, p", "In", " Par", "is", ", Paris"), ["2-3"]);
  assert.deepEqual(found("x", "In"), []);
  assert.deepEqual(found("", "In"), []);
  assert.deepEqual(found("a", "aaa", "a"), ["0", "1"]); // once a token
});

void test("bytes of one character are found as that character, all of its tokens", () => {
  const pieces = [0, 1].map((at) => ({ text: "\\xc3", piece: { text: "é", index: at, count: 2 } }));
  const text = textIndex([{ text: "caf", piece: null }, ...pieces, { text: "s", piece: null }]);
  assert.deepEqual(findAll("café", text), [{ first: 0, last: 2 }]);
  assert.deepEqual(findAll("És", text), [{ first: 1, last: 3 }]);
});

void test("a number is a position, and text as well", () => {
  const texts = ["a", " 3", "b", "c", " #3"];
  assert.deepEqual(found("3", ...texts), ["1", "3", "4"]);
  assert.deepEqual(found("#3", ...texts), ["3", "4"]);
  assert.deepEqual(found("#5", ...texts), []);
  assert.equal(positionIn(" #4 ", 5), 4);
  assert.equal(positionIn("4", 4), null);
  assert.equal(positionIn("#", 4), null);
  assert.equal(positionIn("4x", 9), null);
});

void test("the first match is the position that was named, else the next one in the text", () => {
  const texts = ["a", " 3", "b", "a", " 3"];
  const matches = findAll("3", index(...texts));
  assert.equal(matches[firstMatch(matches, "3", 5, 0)]?.first, 3);
  const words = findAll("a", index(...texts));
  assert.equal(firstMatch(words, "a", 5, 1), 1);
  assert.equal(firstMatch(words, "a", 5, 4), 0); // from the beginning again
});

void test("letters that become longer in small ones keep their places", () => {
  assert.deepEqual(found("z", "İİ", "z"), ["1"]);
});

void test("a text of 2,048 tokens is searched at once", () => {
  const started = performance.now();
  findAll("a", index(...Array.from({ length: 2048 }, () => "aaaa")));
  assert.ok(performance.now() - started < 500);
});
