// Weights: as bytes, as colours, as rows; asked for in parts, a few at a time.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { GetTensorResult } from "../../src/protocol";
import type { FromView } from "../../src/shared/messages";
import { HeadData } from "../../webviews/matrix/head_data";
import { largestWeights, spokenWeight, sumOf, type RowValues } from "../../webviews/matrix/row_values";
import { paletteOf, pixelOf } from "../../webviews/matrix/value_scale";
import { BoundedCache } from "../../webviews/common/bounded_cache";
import { colourMap } from "../../webviews/common/colour_map";
import { TraceReads } from "../../webviews/common/trace_reads";
import { codesOf, codeValue, fromHalf, valuesOf } from "../../webviews/common/tensor_values";

const base64 = (values: ArrayBufferView): string =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("base64");

void test("float16 bits are the values that they stand for", () => {
  const pairs: [number, number][] = [
    [0x0000, 0],
    [0x3c00, 1],
    [0x3800, 0.5],
    [0x0001, 2 ** -24],
    [0x03ff, 1023 * 2 ** -24],
    [0x0400, 2 ** -14],
    [0xbc00, -1],
  ];
  for (const [bits, value] of pairs) {
    assert.equal(fromHalf(bits), value);
  }
  assert.equal(codeValue(0x3c01, "float16"), 1); // a weight is never above 1
  assert.equal(codeValue(51, "uint8"), 0.2);
});

void test("float32 values come through unchanged, from bytes and from lists", () => {
  const values = Float32Array.from([0.1, 1e-7, 0.8241]);
  const result = { shape: [1, 3], dtype: "float32", data: base64(values) };
  assert.deepEqual(valuesOf(result), values);
  assert.deepEqual(valuesOf({ ...result, data: [[[...values]]] }), values);
  const codes = codesOf({ shape: [2], dtype: "float16", data: base64(Uint16Array.of(0x3c00, 1)) });
  assert.deepEqual([...codes], [0x3c00, 1]);
});

void test("a palette has the background at 0 and the map's end at 1", () => {
  const charts = { purple: [9, 9, 9], blue: [1, 2, 3], green: [0, 9, 0], yellow: [9, 9, 0] } as const;
  const ground = { ...charts, orange: [9, 5, 0], red: [9, 0, 0], highContrast: false } as const;
  const map = colourMap("grey", { ...ground, background: [30, 30, 30], foreground: [200, 200, 200] });
  const palette = paletteOf(map, "uint8", { name: "unit", top: 1 });
  assert.equal(palette[0], pixelOf([30, 30, 30]));
  assert.equal(palette[255], pixelOf(map.colours[255] ?? [0, 0, 0]));
  const half = paletteOf(map, "float16", { name: "unit", top: 1 });
  assert.equal(half[0x3c00], palette[255]);
  assert.equal(half[0x3c01], palette[255]);
  assert.equal(pixelOf([1, 2, 3], true), 0xff030201);
  assert.equal(pixelOf([1, 2, 3], false), 0x010203ff);
});

const row = (values: number[]): RowValues => ({
  layer: 0,
  head: 0,
  query: values.length - 1,
  values: Float32Array.from(values),
  exact: true,
});

void test("the largest weights come first, of equal ones the nearer", () => {
  const found = largestWeights(row([0.25, 0, 0.5, 0.25]), 2);
  assert.deepEqual(found, [
    { key: 2, weight: 0.5 },
    { key: 3, weight: 0.25 },
  ]);
  assert.equal(largestWeights(row([0.25, 0, 0.5, 0.25]), 9).length, 3);
  assert.equal(sumOf(Float32Array.of(0.25, 0.5, 0.25)), 1);
});

void test("a weight in words", () => {
  const tokens = [" of", " gold"].map((text, position) => ({
    position,
    id: position,
    text,
    forced: false,
    generated: false,
    surprisal: null,
    top: [],
  }));
  assert.equal(spokenWeight(tokens, 1, 0, 0.8241), "“gold” 1 to “of” 0: 0.824");
});

void test("a cache forgets what was used longest ago", () => {
  const cache = new BoundedCache<string>(5, (text) => text.length);
  cache.set("a", "xx");
  cache.set("b", "yy");
  cache.get("a");
  cache.set("c", "zz");
  assert.deepEqual([cache.has("a"), cache.has("b"), cache.has("c"), cache.weight], [true, false, true, 4]);
  cache.set("d", "too long to keep others");
  assert.deepEqual([cache.size, cache.has("d")], [1, true]);
  cache.set("d", "e");
  assert.equal(cache.weight, 1);
});

type Posted = Extract<FromView, { type: "read"; method: "get_tensor" }>;

/** Plays the host: keeps what was posted, answers on request. */
function conversation(): { posted: FromView[]; requests: TraceReads; open: () => Posted[] } {
  const posted: FromView[] = [];
  const requests = new TraceReads((message) => posted.push(message));
  const open = (): Posted[] => posted.filter((message): message is Posted => message.type === "read");
  return { posted, requests, open };
}

const answer = (request: number): { type: "read"; request: number; result: GetTensorResult } => ({
  type: "read",
  request,
  result: { shape: [0], dtype: "uint8", data: "" },
});

void test("two requests are under way, and the most urgent of the others is next", () => {
  const { requests, open } = conversation();
  const done: string[] = [];
  const ask = (name: string, urgency: number): (() => void) =>
    requests.ask({
      method: "get_tensor",
      params: { name },
      urgency,
      done: () => done.push(name),
      failed: () => done.push(`no ${name}`),
    });
  ask("a", 1);
  ask("b", 1);
  ask("c", 1);
  ask("urgent", 2);
  assert.deepEqual(
    open().map(({ params }) => params.name),
    ["a", "b"],
  );
  requests.answer(answer(2));
  assert.equal(open().at(-1)?.params.name, "urgent");
  requests.answer({ type: "readFailed", request: 1, message: "gone" });
  assert.deepEqual(done, ["b", "no a"]);
  assert.equal(open().at(-1)?.params.name, "c");
});

void test("what is taken back is cancelled where it is under way, and never answered", () => {
  const { requests, posted, open } = conversation();
  const done: string[] = [];
  const ask = (name: string): (() => void) =>
    requests.ask({
      method: "get_tensor",
      params: { name },
      urgency: 1,
      done: () => done.push(name),
      failed: () => done.push(name),
    });
  const takeBack = ask("a");
  ask("b");
  const forget = ask("c");
  ask("d");
  forget();
  takeBack();
  assert.deepEqual(posted.at(-2), { type: "cancelRead", request: 1 });
  assert.equal(open().at(-1)?.params.name, "d");
  requests.answer(answer(1));
  assert.deepEqual(done, []);
  requests.clear();
  requests.answer(answer(2));
  assert.deepEqual(done, []);
});

/** A head of so many positions whose weights are all on the query itself, from its own rows. */
function tensor(params: Posted["params"]): GetTensorResult {
  const rows = params.rows ?? [0, 0];
  const columns = params.columns ?? [0, 600];
  const [height, width] = [rows[1] - rows[0], columns[1] - columns[0]];
  const values = Array.from({ length: height * width }, (_, i) =>
    Number(Math.floor(i / width) + rows[0] === (i % width) + columns[0]),
  );
  const bytes = params.dtype === "float32" ? Float32Array.from(values) : Uint8Array.from(values, (one) => one * 255);
  return { shape: [height, width], dtype: params.dtype ?? "float32", data: base64(bytes) };
}

function headData(): ReturnType<typeof conversation> & { data: HeadData; seen: string[]; serve: () => void } {
  const talk = conversation();
  const seen: string[] = [];
  const data = new HeadData(talk.requests, {
    arrived: () => seen.push("arrived"),
    row: ({ query, values }) => seen.push(`row ${query}: ${values[query] ?? NaN}`),
    failed: (message) => seen.push(message),
  });
  let served = 0;
  const serve = (): void => {
    for (let next = talk.open()[served]; next !== undefined; next = talk.open()[served]) {
      served++;
      talk.requests.answer({ type: "read", request: next.request, result: tensor(next.params) });
    }
  };
  return { ...talk, data, seen, serve };
}

void test("a head is whole once its tiles came, and is not asked for again", () => {
  const { data, open, serve } = headData();
  data.open(600);
  data.choose({ layer: 2, head: 1 });
  assert.equal(data.want([0, 600], [0, 600], "uint8"), false);
  assert.equal(data.want([0, 600], [0, 600], "uint8"), false);
  serve();
  assert.equal(data.window, 0); // all weight on the query itself
  assert.equal(data.want([0, 600], [0, 600], "uint8"), true);
  const asked = open().length;
  data.want([0, 600], [0, 600], "uint8");
  assert.equal(open().length, asked);
  assert.deepEqual(open()[0]?.params, {
    name: "attention_weights",
    layer: 2,
    head: 1,
    rows: [599, 600],
    encoding: "base64",
    dtype: "float32",
  });
});

void test("a row is rough at first and exact once it came", () => {
  const { data, seen, serve } = headData();
  data.open(600);
  data.choose({ layer: 0, head: 0 });
  data.want([0, 600], [0, 600], "uint8");
  serve();
  const rough = data.row(10, "uint8");
  assert.deepEqual([rough?.exact, rough?.values[10]], [false, 1]);
  serve();
  assert.equal(seen.at(-1), "row 10: 1");
  assert.equal(data.row(10, "uint8")?.exact, true);
  assert.equal(data.row(600, "uint8"), null);
});

void test("another head takes back what was asked of the one before", () => {
  const { data, posted } = headData();
  data.open(600);
  data.choose({ layer: 0, head: 0 });
  data.want([0, 600], [0, 600], "uint8");
  data.choose({ layer: 0, head: 1 });
  assert.equal(posted.filter((message) => message.type === "cancelRead").length, 1);
});

void test("what is fetched ahead is there for the head that is chosen, and taken back for the others", () => {
  const { data, posted, open, serve, seen } = headData();
  const part: [[number, number], [number, number], "uint8"] = [[0, 200], [0, 200], "uint8"];
  data.open(200);
  data.choose({ layer: 0, head: 0 });
  data.want(...part);
  serve();
  const arrivals = seen.length;
  data.fetchAhead(
    [
      { layer: 0, head: 1 },
      { layer: 0, head: 2 },
    ],
    ...part,
  );
  data.fetchAhead([{ layer: 0, head: 1 }], ...part); // it is on its way
  assert.deepEqual(
    open().map(({ params }) => params.head),
    [0, 0, 1, 2],
  );
  data.choose({ layer: 0, head: 1 });
  assert.deepEqual(posted.at(-1), { type: "cancelRead", request: 4 });
  assert.equal(data.want(...part), false);
  assert.equal(open().length, 4); // not asked for again
  serve();
  assert.equal(seen.length, arrivals + 1);
  assert.equal(data.want(...part), true);
  data.fetchAhead([{ layer: 0, head: 2 }], ...part);
  serve();
  assert.equal(seen.length, arrivals + 1); // nobody looks at it
  data.choose({ layer: 0, head: 2 });
  assert.equal(data.want(...part), true);
});
