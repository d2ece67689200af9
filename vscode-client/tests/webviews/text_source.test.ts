// What the text's colours are about, columns of the matrix, and how many candidates a trace keeps.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { FromView } from "../../src/shared/messages";
import { AS_IT_IS } from "../../webviews/matrix/source";
import { ColumnData } from "../../webviews/matrix/column_data";
import { TraceReads } from "../../webviews/common/trace_reads";
import { capturedCount } from "../../webviews/text/captured";
import { columnOf, columnWeights, pointedInText, rowWeights, textModeNamed } from "../../webviews/text/text_source";

void test("a mode is one of three, whatever was kept", () => {
  assert.deepEqual(["to", "surprisal", "other", null].map(textModeNamed), ["to", "surprisal", "from", "from"]);
});

void test("pointing previews; with a token chosen it asks for the weight between the two", () => {
  assert.deepEqual(pointedInText("from", 4, null, 9), { query: 4, key: null, by: "text" });
  assert.deepEqual(pointedInText("from", 4, 7, 9), { query: 7, key: 4, by: "text" });
  assert.deepEqual(pointedInText("to", 4, null, 9), { query: 4, key: 4, by: "text" });
  assert.deepEqual(pointedInText("to", 8, 4, 9), { query: 8, key: 4, by: "text" });
  assert.deepEqual(pointedInText("surprisal", 4, 7, 9), { query: 4, key: null, by: "text" });
  assert.equal(pointedInText("from", 9, null, 9), null);
  assert.deepEqual(pointedInText("from", 4, 12, 9), { query: 4, key: null, by: "text" }); // chosen, but not there yet
});

void test("the column is that of the key pointed at, else of the token chosen, in one mode alone", () => {
  assert.equal(columnOf("to", { query: 5, key: 2, by: "mouse" }, 5), 2);
  assert.equal(columnOf("to", null, 5), 5);
  assert.equal(columnOf("from", { query: 5, key: 2, by: "mouse" }, 5), null);
});

void test("later keys of a row, and earlier queries of a column, have no weight", () => {
  const row = rowWeights({ layer: 0, head: 0, query: 1, values: Float32Array.of(0.5, 0.5, 0), exact: true });
  assert.deepEqual([row(0), row(1), row(2)], [0.5, 0.5, undefined]);
  const column = columnWeights(Float32Array.of(0, 0.5, 0.25), 1, 2);
  assert.deepEqual([column(0), column(1), column(2)], [undefined, 0.5, undefined]);
});

void test("a column is asked for once, from its key on down, and the one before is taken back", () => {
  const posted: FromView[] = [];
  const reads = new TraceReads((message) => posted.push(message));
  const told: (string | null)[] = [];
  const data = new ColumnData(reads, (failure) => told.push(failure));
  const place = { layer: 1, head: 2 };
  assert.equal(data.column(place, AS_IT_IS, 2, 4), null);
  assert.equal(data.column(place, AS_IT_IS, 2, 4), null);
  assert.equal(posted.length, 1);
  const params = { name: "attention_weights", ...place, rows: [2, 4], columns: [2, 3], encoding: "base64" };
  assert.deepEqual(posted[0], {
    type: "read",
    request: 1,
    method: "get_tensor",
    params: { ...params, dtype: "float32" },
  });
  const values = Buffer.from(Float32Array.of(0.5, 0.25).buffer).toString("base64");
  reads.answer({ type: "read", request: 1, result: { shape: [2, 1], dtype: "float32", data: values } });
  assert.deepEqual([...(data.column(place, AS_IT_IS, 2, 4) ?? [])], [0, 0, 0.5, 0.25]);
  data.column(place, AS_IT_IS, 3, 4);
  data.column(place, AS_IT_IS, 1, 4);
  assert.deepEqual(posted.at(-2), { type: "cancelRead", request: 2 });
  reads.answer({ type: "readFailed", request: 3, message: "gone" });
  data.column(place, AS_IT_IS, 1, 4);
  assert.equal(posted.length, 4); // what failed is not asked for again before the user wants it
  assert.deepEqual(told, [null, "gone"]);
  data.retry();
  data.column(place, AS_IT_IS, 1, 4);
  assert.equal(posted.length, 5);
});

void test("a column without the sink is another one, which the daemon works out", () => {
  const posted: FromView[] = [];
  const data = new ColumnData(new TraceReads((message) => posted.push(message)), () => undefined);
  data.column({ layer: 1, head: 2 }, { hideSink: true, valueWeighted: false }, 2, 4);
  const [read] = posted;
  assert.ok(read?.type === "read" && read.method === "get_attention");
  assert.deepEqual([read.params.heads, read.params.hide_sink, read.params.rows], [[[1, 2]], true, [2, 4]]);
});

const captured = (tensors: Record<string, number[]>, position: number): number => {
  const entries = Object.entries(tensors).map(([name, shape]) => [name, { shape, dtype: "float32" }]);
  const tokens = [false, false, true, true].map((generated) => ({ generated }));
  const all = Object.fromEntries(entries) as Record<string, unknown>;
  const data = { summary: { data_info: { tensors: all } }, tokens };
  return capturedCount(data as never, position);
};

void test("how many candidates are there depends on what was captured", () => {
  const highest = { "output_logits.values": [1, 3, 20] };
  assert.deepEqual(
    [0, 1, 3].map((position) => captured(highest, position)),
    [0, 20, 20],
  );
  assert.deepEqual(
    [1, 2, 3].map((position) => captured({ output_logits: [1, 2, 512] }, position)),
    [0, 50, 50],
  );
  assert.deepEqual(
    [0, 1, 3].map((position) => captured({ output_logits: [1, 3, 12] }, position)),
    [0, 12, 12],
  );
  assert.equal(captured({}, 2), 0);
});
