// Answers that several askers share: one question, one answer, given up by the last who waits.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedAnswers } from "../src/connection/shared_answers";

/** Questions that are answered when the test says so. */
function world(): {
  asked: string[];
  takenBack: string[];
  begin: (name: string) => (signal: AbortSignal) => Promise<string>;
  answer: (name: string) => void;
  fail: (name: string) => void;
} {
  const asked: string[] = [];
  const takenBack: string[] = [];
  const waiting = new Map<string, { resolve: (text: string) => void; reject: (error: Error) => void }>();
  return {
    asked,
    takenBack,
    begin: (name) => (signal) => {
      asked.push(name);
      signal.addEventListener("abort", () => takenBack.push(name));
      return new Promise((resolve, reject) => waiting.set(name, { resolve, reject }));
    },
    answer: (name) => waiting.get(name)?.resolve(`answer to ${name}`),
    fail: (name) => waiting.get(name)?.reject(new Error(`no ${name}`)),
  };
}

void test("two who ask the same share one question and one answer, before it came and after", async () => {
  const { asked, begin, answer } = world();
  const answers = new SharedAnswers<string>(8);
  const both = [answers.ask("t", "a", begin("a")), answers.ask("t", "a", begin("a"))];
  answer("a");
  assert.deepEqual(await Promise.all(both), ["answer to a", "answer to a"]);
  assert.equal(await answers.ask("t", "a", begin("a")), "answer to a");
  assert.deepEqual(asked, ["a"]);
});

void test("who lets go leaves it to the others; the last one takes it back, and the next asks anew", async () => {
  const { asked, takenBack, begin, answer } = world();
  const answers = new SharedAnswers<string>(8);
  const [one, other] = [new AbortController(), new AbortController()];
  const first = answers.ask("t", "a", begin("a"), one.signal);
  const second = answers.ask("t", "a", begin("a"), other.signal);
  one.abort(new Error("let go"));
  await assert.rejects(first, /let go/);
  assert.deepEqual(takenBack, []);
  other.abort(new Error("let go"));
  await assert.rejects(second, /let go/);
  assert.deepEqual(takenBack, ["a"]);
  const third = answers.ask("t", "a", begin("a"), new AbortController().signal);
  answer("a");
  assert.equal(await third, "answer to a");
  assert.deepEqual(asked, ["a", "a"]);
});

void test("one who had let go before asking gets nothing, and nothing is asked on for it", async () => {
  const { takenBack, begin } = world();
  const answers = new SharedAnswers<string>(8);
  await assert.rejects(answers.ask("t", "a", begin("a"), AbortSignal.abort(new Error("gone"))), /gone/);
  assert.deepEqual(takenBack, ["a"]);
});

void test("letting go after the answer has come takes nothing back", async () => {
  const { takenBack, begin, answer } = world();
  const answers = new SharedAnswers<string>(8);
  const one = new AbortController();
  const asking = answers.ask("t", "a", begin("a"), one.signal);
  answer("a");
  await asking;
  one.abort();
  assert.deepEqual(takenBack, []);
});

void test("what changed is asked anew, all else is kept; a failure is not kept", async () => {
  const { asked, begin, answer, fail } = world();
  const answers = new SharedAnswers<string>(8);
  for (const name of ["a", "b"]) {
    const asking = answers.ask(`trace of ${name}`, name, begin(name));
    answer(name);
    await asking;
  }
  answers.forget(["trace of a"]);
  const again = answers.ask("trace of a", "a", begin("a"));
  fail("a");
  await assert.rejects(again, /no a/);
  void answers.ask("trace of a", "a", begin("a"));
  void answers.ask("trace of b", "b", begin("b"));
  assert.deepEqual(asked, ["a", "b", "a", "a"]);
});

void test("no more are kept than said: the one used longest ago goes", async () => {
  const { asked, begin, answer } = world();
  const answers = new SharedAnswers<string>(2);
  for (const name of ["a", "b", "a", "c", "a", "b"]) {
    const asking = answers.ask("t", name, begin(name));
    answer(name);
    await asking;
  }
  assert.deepEqual(asked, ["a", "b", "c", "b"]);
});
