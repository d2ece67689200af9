// Another trace arrives: what the page shows meanwhile, and what came along with it is not asked for again.

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { firstReads } from "../../src/shared/first_reads";
import type { FromView, GivenRead, Selection, ToView, TraceData, ViewState } from "../../src/shared/messages";
import { selectionOf } from "../../webviews/common/shared_selection";
import { stateTaker } from "../../webviews/common/state_taker";
import { createStore } from "../../webviews/common/store";
import { TraceReads } from "../../webviews/common/trace_reads";
import { whileShown } from "../../webviews/common/while_shown";
import { HeadData } from "../../webviews/matrix/head_data";

const SELECTION: Selection = { traceId: "one", layer: 1, head: 2, token: null, step: null };

function traceOf(positions: number, traceId = "one"): TraceData {
  const trace = { positions, layers: [0, 1], heads: 4, tokens: [], summary: { trace_id: traceId } };
  return trace as unknown as TraceData;
}

/** Zeros, as many as were asked for. */
function resultOf({ rows, columns, dtype }: GivenRead["params"], positions: number): GivenRead["result"] {
  const [height, width] = [rows, columns ?? [0, positions]].map((span) => (span?.[1] ?? 0) - (span?.[0] ?? 0));
  const bytes = (height ?? 0) * (width ?? 0) * (dtype === "float32" ? 4 : 2);
  return { shape: [height ?? 0, width ?? 0], dtype: dtype ?? "float32", data: Buffer.alloc(bytes).toString("base64") };
}

for (const positions of [1, 5, 64, 256, 257, 1000, 1024]) {
  void test(`a matrix of ${positions} positions is whole with what came along, and nothing is asked for`, () => {
    const posted: FromView[] = [];
    const reads = new TraceReads((message) => posted.push(message));
    const given = firstReads(traceOf(positions), SELECTION);
    reads.give(given.map((params) => ({ params, result: resultOf(params, positions) })));
    const seen: string[] = [];
    const events = {
      arrived: () => seen.push("arrived"),
      row: () => undefined,
      failed: (text: string) => seen.push(text),
    };
    const data = new HeadData(reads, events);
    data.open(positions);
    data.choose({ layer: 1, head: 2 });
    assert.equal(data.want([0, positions], [0, positions], "float16"), true);
    assert.deepEqual([posted, seen], [[], []]);
    assert.equal(reads.known(given[0] ?? { name: "" }), undefined); // it is kept in one place
    data.choose({ layer: 1, head: 3 });
    assert.equal(data.want([0, positions], [0, positions], "float16"), false);
    assert.ok(posted.length > 0);
  });
}

void test("nothing comes along of a large matrix, or where no attention was captured", () => {
  assert.deepEqual(firstReads(traceOf(1025), SELECTION), []);
  assert.deepEqual(firstReads({ ...traceOf(10), layers: [] }, SELECTION), []);
});

void test("of a trace that the page is leaving nothing is asked for", () => {
  const posted: FromView[] = [];
  const reads = new TraceReads((message) => posted.push(message));
  const ask = (): (() => void) =>
    reads.ask({
      method: "get_tensor",
      params: { name: "a" },
      urgency: 1,
      done: () => assert.fail(),
      failed: () => assert.fail(),
    });
  reads.clear(true);
  ask();
  assert.deepEqual(posted, []);
  reads.clear();
  ask();
  assert.equal(posted.length, 1);
});

type StateMessage = Extract<ToView, { type: "state" }>;
const message = (state: ViewState): StateMessage => ({
  type: "state",
  state,
  given: [],
  selection: SELECTION,
  change: 0,
});
const loading = message({ kind: "loading", title: "two" });
const trace = (traceId: string): StateMessage => message({ kind: "trace", trace: traceOf(4, traceId) });

function taker(shown: ViewState): { take: (one: StateMessage) => void; leaving: () => boolean; seen: string[] } {
  const seen: string[] = [];
  let view = shown;
  const { take, isLeaving } = stateTaker({
    shown: () => view,
    leave: () => seen.push("left"),
    show: ({ state }) => {
      view = state;
      seen.push(state.kind === "trace" ? state.trace.summary.trace_id : state.kind);
    },
  });
  return { take, leaving: isLeaving, seen };
}

void test("the page says that the next trace is loading where that takes long, and not where it comes soon", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const { take, leaving, seen } = taker(trace("one").state);
    take(loading);
    mock.timers.tick(100);
    assert.deepEqual([seen.splice(0), leaving()], [["left"], true]);
    take(trace("two"));
    mock.timers.tick(1000);
    assert.deepEqual([seen.splice(0), leaving()], [["left", "two"], false]);
    take(loading);
    mock.timers.tick(100);
    take(loading); // yet another one
    mock.timers.tick(100);
    assert.deepEqual(seen.splice(0), ["left", "left"]);
    mock.timers.tick(100);
    assert.deepEqual([seen.splice(0), leaving()], [["loading"], false]);
    take(trace("three"));
    assert.deepEqual(seen, ["left", "three"]);
  } finally {
    mock.timers.reset();
  }
});

void test("a page without a trace says at once that one is loading, and every page that there is none", () => {
  const empty = taker({ kind: "empty", message: "" });
  empty.take(loading);
  assert.deepEqual(empty.seen, ["left", "loading"]);
  const other = taker(trace("one").state);
  other.take(message({ kind: "failed", message: "" }));
  assert.deepEqual(other.seen, ["left", "failed"]);
});

void test("another trace has its own token, and the head that was chosen since", async () => {
  const store = createStore({ selection: SELECTION });
  const posted: FromView[] = [];
  const { select, open, take } = selectionOf({ post: (one) => posted.push(one) }, store);
  select({ head: 3, token: 5 });
  await Promise.resolve();
  assert.deepEqual(posted, [{ type: "select", traceId: "one", change: { head: 3, token: 5 }, number: 1 }]);
  const two = { ...SELECTION, traceId: "two" };
  open(two, 0); // the host has not heard of the change
  assert.deepEqual(store.state.selection, { ...two, head: 3 });
  take({ ...two, head: 3 }, 1);
  open({ ...SELECTION, traceId: "three", layer: 0, token: 9 }, 1);
  assert.deepEqual(store.state.selection, { ...SELECTION, traceId: "three", layer: 0, token: 9 });
});

void test("a hidden part hears of all changes at once when it is shown", async () => {
  const whole = createStore({ layer: "a" });
  const seen: string[][] = [];
  const { store, show } = whileShown(whole);
  store.subscribe((state, before) => seen.push([before.layer, state.layer]));
  whole.set({ layer: "b" });
  await Promise.resolve();
  whole.set({ layer: "c" });
  await Promise.resolve();
  assert.deepEqual(seen, []);
  show(true);
  assert.deepEqual(seen.splice(0), [["a", "c"]]);
  store.set({ layer: "d" });
  await Promise.resolve();
  assert.deepEqual(seen.splice(0), [["c", "d"]]);
  show(false);
  show(true);
  assert.deepEqual(seen, []);
});
