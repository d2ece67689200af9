// The lens: which positions are in sight and asked for, its colours, its rows; and one question at a time.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { LensBelief, LensChance, PointName } from "../../src/protocol";
import type { FromView, ViewState } from "../../src/shared/messages";
import { createStore } from "../../webviews/common/store";
import { TraceReads } from "../../webviews/common/trace_reads";
import { pointLabel, pointWords, rowOfLayer } from "../../webviews/lens/lens_points";
import { columnsIn, missingPositions, windowStart } from "../../webviews/lens/lens_window";
import { firstLeading, followedIn, MEASURES } from "../../webviews/lens/measures";
import { asking } from "../../webviews/why/asking";

const POINTS: PointName[] = [
  { layer: null, at: "embedding", backout: null },
  { layer: 0, at: "attention", backout: null },
  { layer: 0, at: "mlp", backout: null },
  { layer: 1, at: "attention", backout: null },
  { layer: 1, at: "mlp", backout: false },
  { layer: 1, at: "mlp", backout: true },
  { layer: null, at: "output", backout: null },
];
const chance = (rank: number, probability = 0.1): LensChance => ({ token: 5, text: " a", logit: 1, probability, rank });
const belief = (chosen: LensChance[]): LensBelief => ({ position: 0, top: [], chosen, kl: 2, entropy: 3 });

void test("rows have names, and a layer's is the end of it", () => {
  assert.deepEqual(POINTS.map(pointLabel), [
    "Embedding",
    "L0 attention",
    "L0 MLP",
    "L1 attention",
    "L1 MLP as it is",
    "L1 MLP − backout",
    "Output",
  ]);
  assert.deepEqual(POINTS.map(pointWords).slice(0, 2), ["after the embedding", "after L0 attention"]);
  assert.equal(rowOfLayer(POINTS, 0), 2);
  assert.equal(rowOfLayer(POINTS, 1), 5);
  assert.equal(rowOfLayer(POINTS, 9), 6);
});

void test("the window moves no further than the chosen position needs", () => {
  assert.equal(columnsIn(1000, 100), 12);
  assert.equal(columnsIn(1000, 5), 5);
  assert.equal(columnsIn(10, 100), 3);
  assert.equal(windowStart(null, 10, 50, 100), 45);
  assert.equal(windowStart(45, 10, 54, 100), 45);
  assert.equal(windowStart(45, 10, 55, 100), 46);
  assert.equal(windowStart(45, 10, 44, 100), 44);
  assert.equal(windowStart(null, 10, 99, 100), 90);
  assert.equal(windowStart(90, 10, 0, 5), 0);
});

void test("nothing is asked for while all in sight are known, else some around too", () => {
  const known = new Set([3, 4, 5]);
  assert.deepEqual(missingPositions(known, [3, 3], 100, 500), []);
  assert.deepEqual(missingPositions(known, [3, 4], 100, 500), [6]);
  const many = missingPositions(known, [3, 4], 100, 15);
  assert.equal(many.length, 97);
  assert.ok(!many.includes(4) && many.includes(99));
});

void test("shares of each measure: 0 is as far as its scale goes, 1 as bright as it gets", () => {
  const followed = chance(10, 0.25);
  const value = (name: keyof typeof MEASURES): number | null => MEASURES[name].of(belief([followed]), followed);
  assert.deepEqual((["probability", "rank", "kl", "entropy"] as const).map(value), [0.25, 10, 2, 3]);
  assert.equal(MEASURES.rank.of(belief([]), null), null);
  assert.deepEqual(
    [1, 10, 100].map((rank) => MEASURES.rank.share(rank, 100)),
    [1, 0.5, 0],
  );
  assert.deepEqual(
    [0, 1, 4].map((kl) => MEASURES.kl.share(kl, 4)),
    [0, 0.25, 1],
  );
  assert.equal(MEASURES.entropy.share(0, 0), 0);
});

void test("the followed token is the written one, or the pinned one; it leads first where its rank is 1", () => {
  const [written, pinned] = [chance(3), chance(1)];
  assert.equal(followedIn(belief([written, pinned]), false, true), written);
  assert.equal(followedIn(belief([written, pinned]), true, true), pinned);
  assert.equal(followedIn(belief([]), false, false), null);
  assert.equal(firstLeading([null, chance(4), chance(1), chance(1)]), 2);
  assert.equal(firstLeading([chance(2)]), null);
});

void test("one question at a time: another takes it back, a failed one is asked again when that is said", async () => {
  const posted: FromView[] = [];
  const reads = new TraceReads((message) => posted.push(message));
  const store = createStore<{ view: ViewState }>({ view: { kind: "loading", title: "" } });
  const asked = asking({ reads, store }, "logit_lens");
  const answers: unknown[] = [];
  const ask = (position: number): void => {
    asked.ask({ positions: [position] }, (result) => answers.push(result));
  };
  ask(1);
  ask(1);
  ask(2);
  assert.deepEqual(
    posted.map((message) => (message.type === "read" ? message.params : message.type)),
    [{ positions: [1], anyway: false }, "cancelRead", { positions: [2], anyway: false }],
  );
  const late = { points: [], decided: [], model: { state: "ready" as const } };
  reads.answer({ type: "read", request: 1, result: late });
  assert.deepEqual(answers, []);
  reads.answer({ type: "readFailed", request: 2, message: "another", name: "OTHER_MODEL" });
  assert.deepEqual(asked.store.state.failure, { message: "another", name: "OTHER_MODEL" });
  ask(2);
  assert.equal(posted.length, 3);
  asked.retry(true);
  ask(2);
  assert.deepEqual(posted.at(-1), {
    type: "read",
    request: 3,
    method: "logit_lens",
    params: { positions: [2], anyway: true },
  });
  const result = { ...late, other_model: "d12, not demo" };
  reads.answer({ type: "read", request: 3, result });
  assert.deepEqual(answers, [result]);
  assert.equal(asked.store.state.otherModel, "d12, not demo");
  store.set({ view: { kind: "empty", message: "" } });
  await Promise.resolve();
  assert.equal(asked.store.state.otherModel, null);
  ask(2);
  assert.deepEqual((posted.at(-1) as { params: unknown }).params, { positions: [2], anyway: false });
});
