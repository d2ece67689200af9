// Tokens and numbers as they are shown.

import assert from "node:assert/strict";
import { test } from "node:test";
import { headName, percent, quantity, seconds, shortWeight, threeDigits } from "../../webviews/common/number_text";
import {
  clipped,
  isSpecial,
  runningText,
  shortLabel,
  spokenText,
  spokenToken,
  tokenLabel,
  tokenText,
  visibleText,
} from "../../webviews/common/token_text";

void test("white space is visible in labels", () => {
  assert.equal(visibleText(" the"), "·the");
  assert.equal(visibleText("\n\t\r"), "↵⇥⟨CR⟩");
  assert.equal(visibleText("\u00a0\u3000"), "␣␣");
  assert.equal(visibleText(""), "∅");
});

void test("what would be invisible or turn the line around is spelled out", () => {
  assert.equal(visibleText("\u0000\u001b"), "⟨00⟩⟨1B⟩");
  assert.equal(visibleText("a\u200bb"), "a⟨ZWSP⟩b");
  assert.equal(visibleText("\u202e"), "⟨RLO⟩");
  assert.equal(visibleText(" \\xf0\\x9f"), "·⟨F0⟩⟨9F⟩"); // a byte that the daemon spelled out
  assert.equal(visibleText("東京 é 🙂"), "東京·é·🙂");
});

void test("running text keeps its spaces and tells its line breaks", () => {
  assert.deepEqual(runningText(" a b"), { text: " a b", ends: false });
  assert.deepEqual(runningText("x\n\n"), { text: "x↵\n↵", ends: true });
  assert.deepEqual(runningText("\n a"), { text: "↵\n a", ends: false });
  assert.deepEqual(runningText("\ta"), { text: "→\ta", ends: false });
  assert.deepEqual(runningText(""), { text: "∅", ends: false });
  assert.match(runningText("x".repeat(300)).text, /^x{50}…x{49}$/);
});

void test("a picture of several characters stays whole; what joins nothing is named", () => {
  const family = "\u{1f469}\u200d\u{1f469}\u200d\u{1f467}";
  assert.equal(visibleText(` ${family}!`), `·${family}!`);
  assert.equal(visibleText("\u{1f44d}\u{1f3fd}"), "\u{1f44d}\u{1f3fd}");
  assert.equal(visibleText("1\ufe0f\u20e3"), "1\ufe0f\u20e3");
  assert.equal(visibleText("\u200d"), "⟨ZWJ⟩");
  assert.equal(visibleText("\ufe0f"), "⟨VS16⟩");
  assert.equal(visibleText("\u200c\ufeff\u00ad"), "⟨ZWNJ⟩⟨BOM⟩⟨SHY⟩");
  assert.equal(visibleText("\ue000"), "⟨U+E000⟩");
  assert.equal(visibleText("\u0301"), "◌\u0301");
});

void test("a label is as long as there is room for, and its ends tell it apart", () => {
  const named = (text: string): { text: string; piece: null } => ({ text, piece: null });
  assert.equal(shortLabel(named("a".repeat(300))), `${"a".repeat(12)}…${"a".repeat(11)}`);
  assert.notEqual(shortLabel(named("<|python_start|>")), shortLabel(named("<|python_end|>")));
});

void test("a long label loses its middle", () => {
  assert.equal(clipped("abcdef", 6), "abcdef");
  assert.equal(clipped("abcdefg", 6), "abc…fg");
  assert.equal(clipped("<|python_start|>", 9), "<|py…rt|>");
  assert.equal(clipped("<|python_end|>", 9), "<|py…nd|>");
  assert.equal(clipped("🙂🙂🙂", 2), "🙂…");
  assert.equal(clipped("abc", 1), "a…");
});

void test("tokens that share a character show it once, with seams, and have its name", () => {
  const tokens = [0, 1, 2].map((index) => ({ text: "\\xe2", piece: { text: " €", index, count: 3 } }));
  assert.deepEqual(tokens.map(tokenLabel), ["·€₁", "·€₂", "·€₃"]);
  assert.deepEqual(
    tokens.map((token) => tokenText(token).text),
    [" €", "", ""],
  );
  assert.deepEqual(tokens.map(spokenToken), ["“€” part 1 of 3", "“€” part 2 of 3", "“€” part 3 of 3"]);
  const plain = { text: " the", piece: null };
  assert.deepEqual([tokenLabel(plain), tokenText(plain).text, spokenToken(plain)], ["·the", " the", "“the”"]);
});

void test("spoken tokens say what cannot be heard", () => {
  assert.equal(spokenText(" gold"), "“gold”");
  assert.equal(spokenText(" in the\tend"), "“in the⇥end”");
  assert.equal(spokenText(" "), "space");
  assert.equal(spokenText("   "), "3 spaces");
  assert.equal(spokenText("\n\n"), "2 line breaks");
  assert.equal(spokenText(""), "empty token");
});

void test("special tokens are told from text", () => {
  assert.ok(isSpecial("<|bos|>"));
  assert.ok(!isSpecial("a<|bos|>"));
  assert.ok(!isSpecial("<||>"));
});

void test("three digits", () => {
  const shown = [0.8241, 0.034, 1, 0, 12.34, 123.4, 0.00012345, 1234567, 12345, null, NaN].map(threeDigits);
  assert.deepEqual(shown, ["0.824", "0.0340", "1.00", "0", "12.3", "123", "1.23e-4", "1.23e+6", "12,345", "–", "–"]);
});

void test("weights in cells, shares, quantities, times, heads", () => {
  assert.deepEqual([0.824, 0.001, 1, 0.999, 0.5].map(shortWeight), [".82", "", "1", "1", ".50"]);
  assert.deepEqual([0.9976, 0.0312, 0.0004, 0, null].map(percent), ["100%", "3.1%", "<0.1%", "0.0%", "–"]);
  assert.deepEqual([1_310_850, 350e6, 42, 1500].map(quantity), ["1.31 M", "350 M", "42", "1.50 k"]);
  assert.deepEqual([0.014244, 2.5].map(seconds), ["14.2 ms", "2.50 s"]);
  assert.equal(headName(3, 1), "L3H1");
});
