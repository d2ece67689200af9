// Every regular expression of the extension and its pages, on long texts that are made to cost much: all take linear
// time. The patterns are found by TypeScript's own parser in the sources, so that a new one is tried too.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import ts from "typescript";
import { plain } from "../src/plain_text";

const ROOT = path.join(import.meta.dirname, "..", "..");
const SIZE = 60_000; // characters: what is quadratic takes seconds for them, what is linear a millisecond
const MOST_MS = 400;

interface Found {
  place: string;
  pattern: RegExp;
}

function* sources(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) {
      yield* sources(file);
    } else if (file.endsWith(".ts")) {
      yield file;
    }
  }
}

function patternsIn(file: string): Found[] {
  const found: Found[] = [];
  const source = ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.Latest);
  const visit = (node: ts.Node): void => {
    if (ts.isRegularExpressionLiteral(node)) {
      const [, body = "", flags = ""] = /^\/(.*)\/([a-z]*)$/s.exec(node.text) ?? [];
      found.push({ place: `${path.relative(ROOT, file)}: ${node.text}`, pattern: new RegExp(body, flags) });
    }
    assert.ok(
      !(ts.isNewExpression(node) && node.expression.getText(source) === "RegExp"),
      `${file}: write a pattern as a literal, which this test finds`,
    );
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

const PATTERNS = ["src", "webviews"].flatMap((folder) => [...sources(path.join(ROOT, folder))].flatMap(patternsIn));

/** What a pattern may be slow for: long runs of what it is written with, and then something that fits nothing. */
function* texts(pattern: RegExp): Generator<string> {
  const written = pattern.source.replace(/\\[a-zA-Z]/g, "").replace(/\\/g, "");
  const characters = new Set([" ", "\n", "\t", "a", "0", "1", ...Array.from(written)]);
  const pieces = [...characters, " \n", "\n ", "a ", "0.", ".0", "$(", "rgb(", "<|", written || "x"];
  for (const piece of pieces) {
    const run = piece.repeat(SIZE / piece.length);
    for (const begin of ["", "x", "#", "rgb(", "<|", "$(", "."]) {
      yield begin + run;
      yield `${begin}${run}\u0000x`;
    }
  }
}

for (const { place, pattern } of PATTERNS) {
  void test(`linear: ${place}`, () => {
    for (const text of texts(pattern)) {
      const begun = performance.now();
      text.replace(pattern, "");
      const took = performance.now() - begun;
      assert.ok(took < MOST_MS, `${String(took)} ms for ${JSON.stringify(text.slice(0, 20))}`);
    }
  });
}

void test("the patterns are found", () => {
  assert.ok(PATTERNS.length > 20);
});

void test("line breaks and the blanks around them are one space", () => {
  assert.equal(plain("a \n\t b  c\nd"), "a b  c d");
  assert.equal(plain("*a* | `b`"), "\\*a\\* \\| \\`b\\`");
});
