// The list of traces after a change.

import assert from "node:assert/strict";
import { test } from "node:test";
import { afterChange } from "../src/listing";
import type { TraceRow } from "../src/protocol";

function rows(...ids: string[]): TraceRow[] {
  return ids.map((trace_id) => ({ trace_id }) as TraceRow);
}

const ids = (list: readonly TraceRow[] | undefined) => list?.map(({ trace_id }) => trace_id);

void test("what came stands first, what went is gone, the rest stays in order", () => {
  const after = afterChange(rows("c", "b", "a"), rows("d", "c"), { added: ["d"], removed: ["b"] });
  assert.deepEqual(ids(after), ["d", "c", "a"]);
});

void test("a changed trace is taken as it is now", () => {
  const [first] =
    afterChange(rows("b", "a"), [{ trace_id: "b", response: "new" } as TraceRow], { changed: ["b"] }) ?? [];
  assert.equal(first?.response, "new");
});

void test("a trace that the page lacks takes a full listing; none is needed where traces only went", () => {
  assert.equal(afterChange(rows("c", "b"), rows("c"), { added: ["old"] }), undefined);
  assert.deepEqual(ids(afterChange(rows("c", "b", "a"), rows("c"), { removed: ["a"] })), ["c", "b"]);
});
