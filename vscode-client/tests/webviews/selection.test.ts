// The selection that a view shares with the host: steps of its own are never undone by an older echo.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { FromView, Selection } from "../../src/shared/messages";
import { selectionOf } from "../../webviews/common/shared_selection";
import { createStore } from "../../webviews/common/store";

const START: Selection = { traceId: "trace_1", layer: 0, head: 0, token: null, step: null };

/** A view, and a host that answers each change after some others. */
function world(delay: number): { press: () => Promise<void>; shown: () => number; drain: () => void } {
  const store = createStore({ selection: START });
  const echoes: (() => void)[] = [];
  let host = START;
  const { select, take } = selectionOf(
    {
      post: (message: FromView) => {
        if (message.type !== "select") {
          throw new Error(message.type);
        }
        host = { ...host, ...message.change };
        const echo = host;
        echoes.push(() => {
          take(echo, message.number);
        });
      },
    },
    store,
  );
  return {
    press: async () => {
      select({ head: store.state.selection.head + 1 });
      await Promise.resolve();
      if (echoes.length > delay) {
        echoes.shift()?.();
      }
    },
    shown: () => store.state.selection.head,
    drain: () => {
      while (echoes.length > 0) {
        echoes.shift()?.();
      }
    },
  };
}

for (const delay of [0, 1, 3, 20]) {
  void test(`15 presses are 15 steps where an echo comes ${delay} presses late`, async () => {
    const { press, shown, drain } = world(delay);
    for (let step = 1; step <= 15; step++) {
      await press();
      assert.equal(shown(), step);
    }
    drain();
    assert.equal(shown(), 15);
  });
}

void test("what another view has chosen is taken where no own change is on its way", async () => {
  const store = createStore({ selection: START });
  let number = 0;
  const posted: FromView[] = [];
  const { select, take } = selectionOf({ post: (message) => posted.push(message) }, store);
  take({ ...START, layer: 5 }, number);
  assert.equal(store.state.selection.layer, 5);
  select({ head: 1 });
  select({ token: 3 });
  take({ ...START, layer: 6 }, number); // the host has not heard of it yet
  assert.deepEqual(store.state.selection, { ...START, layer: 5, head: 1, token: 3 });
  await Promise.resolve();
  const change = { head: 1, token: 3 };
  assert.deepEqual(posted, [{ type: "select", traceId: START.traceId, change, number: 1 }]); // both in one
  number = 1;
  take({ ...START, layer: 6, head: 1, token: 3 }, number);
  assert.equal(store.state.selection.layer, 6);
});
