// How long is waited between attempts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../src/connection/backoff";

void test("waits double, and stop growing", () => {
  const backoff = new Backoff();
  const waits = Array.from({ length: 10 }, () => backoff.next(0));
  assert.deepEqual(waits.slice(0, 4), [200, 400, 800, 1600]);
  assert.equal(waits.at(-1), 15_000);
});

void test("a connection that held for a while makes the next wait short, one that broke at once does not", () => {
  const backoff = new Backoff();
  backoff.next(0);
  backoff.next(0);
  assert.equal(backoff.next(100), 800);
  assert.equal(backoff.next(60_000), 200);
  backoff.next(0);
  backoff.reset();
  assert.equal(backoff.next(0), 200);
});
