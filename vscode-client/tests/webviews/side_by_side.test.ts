// Heads side by side: what is pinned, what is combined, how it is asked for, what is kept of each trace.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { TraceData } from "../../src/shared/messages";
import { combinedSource, pinsIn, togglePin } from "../../webviews/attention/beside";
import { BY_LAYER, headMoved, headRows, placeKey } from "../../webviews/heads/head_order";
import { HIDE_SINK, hasValues, lookAt, lookFrom, lookWords, VALUE_WEIGHTED } from "../../webviews/attention/look";
import { AS_IT_IS, readOf, sourceKey, sourceName } from "../../webviews/matrix/source";
import { shareOf, paletteOf } from "../../webviews/matrix/value_scale";
import { keptViewport, viewportFrom, WHOLE } from "../../webviews/matrix/viewport";
import { perTrace } from "../../webviews/common/per_trace";
import { codeValue } from "../../webviews/common/tensor_values";

/** Layers 1 and 3 alone were captured, of four heads each. */
function trace(...others: string[]): TraceData {
  const names = ["attention_weights.layer_1", "attention_weights.layer_3", ...others];
  const tensors = Object.fromEntries(names.map((name) => [name, { shape: [1, 4, 9, 9], dtype: "torch.float32" }]));
  return {
    summary: { trace_id: "t", data_info: { tensors } },
    layers: [1, 3],
    heads: 4,
    positions: 9,
  } as unknown as TraceData;
}

void test("four heads can be pinned, and let go of", () => {
  const place = (head: number): { layer: number; head: number } => ({ layer: 1, head });
  let pins: NonNullable<ReturnType<typeof togglePin>> = [];
  for (const head of [0, 1, 2, 3]) {
    pins = togglePin(pins, place(head)) ?? [];
  }
  assert.equal(pins.length, 4);
  assert.equal(togglePin(pins, { layer: 3, head: 0 }), null);
  assert.deepEqual(
    togglePin(pins, place(1))?.map(({ head }) => head),
    [0, 2, 3],
  );
});

void test("pins that were kept are those that the trace still has", () => {
  const kept = [{ layer: 1, head: 3 }, { layer: 2, head: 0 }, { layer: 3, head: 4 }, null, "x", { layer: 3, head: 0 }];
  assert.deepEqual(pinsIn(trace(), kept), [
    { layer: 1, head: 3 },
    { layer: 3, head: 0 },
  ]);
  assert.deepEqual(pinsIn(trace(), undefined), []);
});

void test("a layer or the pinned heads are combined where the trace lies", () => {
  const place = { layer: 3, head: 2 };
  const pins = [
    { layer: 1, head: 0 },
    { layer: 3, head: 1 },
  ];
  const layer = combinedSource(trace(), "mean layer", place, pins);
  assert.ok(layer !== null);
  assert.equal(sourceName(layer), "Mean of layer 3");
  const part = { rows: [0, 2] as [number, number], encoding: "base64", dtype: "float32" } as const;
  assert.deepEqual(readOf(layer, AS_IT_IS, part), {
    method: "get_attention",
    params: {
      heads: [
        [3, 0],
        [3, 1],
        [3, 2],
        [3, 3],
      ],
      combine: "mean",
      hide_sink: false,
      value_weighted: false,
      ...part,
    },
  });
  const pinned = combinedSource(trace(), "max pinned", place, pins);
  assert.ok(pinned !== null);
  assert.equal(sourceName(pinned), "Max of L1H0, L3H1");
  assert.equal(combinedSource(trace(), "max pinned", place, []), null);
  assert.equal(combinedSource(trace(), "nothing", place, pins), null);
  const keys = [layer, pinned, place, { ...place, head: 1 }].map((source) => sourceKey(source));
  assert.equal(new Set(keys).size, 4);
  assert.notEqual(sourceKey(place, { hideSink: true, valueWeighted: false }), sourceKey(place));
});

void test("a head as it is is read as its tensor, else as it is looked at", () => {
  const place = { layer: 1, head: 2 };
  assert.equal(readOf(place, AS_IT_IS, {}).method, "get_tensor");
  const { method, params } = readOf(place, { hideSink: true, valueWeighted: true }, {});
  assert.deepEqual(
    [method, params],
    ["get_attention", { heads: [[1, 2]], combine: "mean", hide_sink: true, value_weighted: true }],
  );
});

void test("weights are weighted by values where every layer has them", () => {
  const wanted = { hideSink: true, valueWeighted: true };
  assert.ok(!hasValues(trace("value_norms.layer_1")));
  const whole = trace("value_norms.layer_1", "layer_activations.layer_3.v");
  assert.ok(hasValues(whole));
  assert.deepEqual(lookAt(trace(), wanted, AS_IT_IS), { hideSink: true, valueWeighted: false });
  assert.equal(lookAt(whole, wanted, wanted), wanted);
  assert.deepEqual(lookFrom("x"), AS_IT_IS);
  assert.equal(lookWords(wanted), "sink hidden, × ‖v‖");
  assert.match(HIDE_SINK + VALUE_WEIGHTED, /A\[i, j\] \/ Σ.*A\[i, j\] · ‖v\[j\]‖/);
});

void test("values above 1 have colours of their own up to the largest", () => {
  const scale = { name: "unit", top: 4, limit: 4 } as const;
  assert.deepEqual(
    [0, 1, 4, 9].map((value) => shareOf(value, scale)),
    [0, 0.25, 1, 1],
  );
  assert.equal(shareOf(3, { name: "fitted", top: 6, limit: 9 }), 0.5);
  const colours = Array.from({ length: 256 }, (_, i) => [i, i, i] as const);
  const palette = paletteOf({ colours, texts: colours }, "float16", scale);
  assert.deepEqual(
    [0x3c00, 0x4000, 0x4400, 0x4800].map((code) => (palette[code] ?? 0) & 255), // 1, 2, 4, 8
    [64, 128, 255, 255],
  );
  assert.equal(codeValue(0x4400, "float16", Infinity), 4);
});

function keeper(): { keep: (key: string, value: unknown) => void; recall: (key: string) => unknown } {
  const kept = new Map<string, unknown>();
  return { keep: (key, value) => kept.set(key, value), recall: (key) => kept.get(key) };
}

void test("of each trace its own is kept, of the last thirty", () => {
  const host = keeper();
  const kept = perTrace(host, "pins");
  for (let i = 0; i < 40; i++) {
    kept.keep(`trace ${i}`, i);
  }
  kept.keep("trace 20", "again");
  assert.equal(kept.recall("trace 20"), "again");
  assert.equal(kept.recall("trace 3"), undefined);
  assert.equal(perTrace(host, "pins").recall("trace 39"), 39);
  assert.equal(perTrace({ ...host, recall: () => "nonsense" }, "pins").recall("trace 39"), undefined);
});

void test("zoom and scrolling come back with their trace", async () => {
  const host = keeper();
  const viewport = keptViewport(host);
  viewport.open("a");
  viewport.store.set({ cell: 12, x: 3, y: 4 });
  await Promise.resolve();
  viewport.open("b"); // what was not kept yet is kept now
  assert.deepEqual(viewport.store.state, WHOLE);
  const again = keptViewport(host);
  again.open("a");
  assert.deepEqual(again.store.state, { cell: 12, x: 3, y: 4 });
  assert.deepEqual(viewportFrom({ cell: -1, x: 0, y: 0 }), WHOLE);
  assert.deepEqual(viewportFrom(null), WHOLE);
});

void test("heads stand by layer, or by a metric with the largest first; arrow keys go by where they stand", () => {
  const heads = (...values: (number | null)[]): { heads: { entropy: number | null }[] } => ({
    heads: values.map((entropy) => ({ entropy })),
  });
  const analysis = { attention: { layer_stats: { 1: heads(1, 4, null, 2), 3: heads(9, 3, 0, 5) } } };
  const sized = { ...trace(), analysis } as unknown as TraceData;
  const names = (order: string): string[] =>
    headRows(sized, order).map(({ name, heads: row }) => `${name}: ${row.map(placeKey).join(" ")}`);
  assert.deepEqual(names(BY_LAYER), ["1: 1.0 1.1 1.2 1.3", "3: 3.0 3.1 3.2 3.3"]);
  assert.deepEqual(names("entropy"), ["#1: 3.0 3.3 1.1 3.1", "#5: 1.3 1.0 3.2 1.2"]);
  const rows = headRows(sized, "entropy");
  assert.deepEqual(headMoved("ArrowRight", rows, { layer: 3, head: 0 }), { layer: 3, head: 3 });
  assert.deepEqual(headMoved("ArrowDown", rows, { layer: 3, head: 3 }), { layer: 1, head: 0 });
  assert.equal(headMoved("Enter", rows, { layer: 3, head: 3 }), null);
});
