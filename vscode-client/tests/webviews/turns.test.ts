// A chat's turns, and moves from line to line.

import assert from "node:assert/strict";
import { test } from "node:test";
import { movedByLine, stopsOf } from "../../webviews/common/token_lines";
import { turnsOf } from "../../webviews/common/turns";

const shown = (texts: readonly string[]): string[] =>
  turnsOf(texts.map((text) => ({ text }))).map(
    ({ role, start, stop, continued, inner }) =>
      `${inner ? "> " : ""}${role ?? "nobody"}${continued ? " on" : ""} ${start}-${stop}`,
  );

void test("a text that is no chat is nobody's", () => {
  assert.deepEqual(shown(["<|bos|>", "The", " sun"]), ["nobody 0-3"]);
  assert.deepEqual(shown([]), []);
});

void test("each turn is of its role, with the tokens that begin and end it", () => {
  const chat = ["<|bos|>", "<|user_start|>", "Hi", "<|user_end|>", "<|assistant_start|>", "Yes", "<|assistant_end|>"];
  assert.deepEqual(shown(chat), ["nobody 0-1", "User 1-4", "Assistant 4-7"]);
  assert.deepEqual(shown([...chat, "?"]), ["nobody 0-1", "User 1-4", "Assistant 4-7", "nobody 7-8"]);
});

void test("the calculator is asked inside of a turn, which goes on after it", () => {
  const call = ["<|python_start|>", "1+1", "<|python_end|>", "<|output_start|>", "2", "<|output_end|>"];
  assert.deepEqual(shown(["<|assistant_start|>", "So", ...call, "Two", "<|assistant_end|>"]), [
    "Assistant 0-2",
    "> Python 2-5",
    "> Output 5-8",
    "Assistant on 8-10",
  ]);
  assert.deepEqual(shown(call), ["Python 0-3", "Output 3-6"]);
});

void test("unfinished turns end where another begins, or with the text", () => {
  assert.deepEqual(
    shown(["<|user_start|>", "a", "<|user_start|>", "b", "<|assistant_start|>", "<|python_start|>", "c"]),
    ["User 0-2", "User 2-4", "Assistant 4-5", "> Python 5-7"],
  );
  assert.deepEqual(shown(["<|user_end|>", "<|assistant_end|>", "a"]), ["nobody 0-3"]);
});

void test("every position is in one turn", () => {
  const texts = [
    "a",
    "<|user_start|>",
    "<|python_end|>",
    "b",
    "<|output_start|>",
    "<|user_end|>",
    "<|assistant_start|>",
  ];
  const turns = turnsOf(texts.map((text) => ({ text })));
  assert.deepEqual(
    turns.flatMap(({ start, stop }) => Array.from({ length: stop - start }, (_, i) => start + i)),
    texts.map((_, position) => position),
  );
  assert.deepEqual(
    stopsOf(turns),
    turns.map(({ start }) => start),
  );
});

/** Boxes of tokens of one width, so many a line. */
const lines = (...counts: number[]): { getClientRects: () => Record<string, number>[] }[] =>
  counts.flatMap((count, line) =>
    Array.from({ length: count }, (_, i) => ({
      getClientRects: () => [{ left: 10 * i, right: 10 * i + 10, top: 20 * line, bottom: 20 * line + 18 }],
    })),
  );

void test("up and down lead to the nearest token of the next line", () => {
  const spans = lines(4, 2, 4) as never;
  assert.equal(movedByLine(0, spans, 1), 4);
  assert.equal(movedByLine(3, spans, 1), 5);
  assert.equal(movedByLine(5, spans, 1), 7);
  assert.equal(movedByLine(9, spans, -1), 5);
  assert.equal(movedByLine(2, spans, -1), 2);
  assert.equal(movedByLine(9, spans, 1), 9);
  assert.equal(movedByLine(0, [], 1), 0);
});
