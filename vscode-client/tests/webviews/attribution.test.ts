// A logit in parts: they sum to it by layer and by head, and the bars end where it is.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { LogitComponent } from "../../src/protocol";
import { barsFromZero, editOf, spanOf, sumBars } from "../../webviews/attribution/bar_rows";
import { componentName, headParts, partsByLayer, sourcesOf, strongest } from "../../webviews/attribution/parts";

const COMPONENTS: LogitComponent[] = [
  { kind: "embedding", part: "own", value: 1 },
  { kind: "embedding", part: "smeared", value: 0.5 },
  { kind: "x0", layer: 0, value: 0.25 },
  { kind: "x0", layer: 1, value: -0.5 },
  {
    kind: "head",
    layer: 1,
    head: 0,
    part: "projected",
    value: 2,
    sources: [
      { position: 3, value: 1.5 },
      { position: 0, value: 0.5 },
    ],
  },
  { kind: "head", layer: 1, head: 0, part: "value_embedding", value: -3, sources: [{ position: 0, value: -3 }] },
  { kind: "head", layer: 0, head: 1, value: 0.5 },
  { kind: "mlp", layer: 1, part: "rest", value: 4 },
  { kind: "neuron", layer: 1, neuron: 17, value: -1 },
  { kind: "backout", layer: 1, value: -0.25 },
];
const TOTAL = COMPONENTS.reduce((all, { value }) => all + value, 0);

void test("parts by layer stand in the order of the stream, and each component is in one of them", () => {
  const parts = partsByLayer(COMPONENTS);
  assert.deepEqual(
    parts.map(({ name, value }) => [name, value]),
    [
      ["Embedding", 1.5],
      ["Embedding (x0)", -0.25],
      ["L0 heads", 0.5],
      ["L1 heads", -1],
      ["L1 MLP", 3],
      ["Backout", -0.25],
    ],
  );
  assert.equal(parts.flatMap(({ components }) => components).length, COMPONENTS.length);
});

void test("each bar begins where the one before it ended, and the last ends at the total", () => {
  const bars = sumBars(partsByLayer(COMPONENTS), TOTAL);
  bars.slice(1, -1).forEach(({ from }, index) => {
    assert.equal(from, bars[index]?.to);
  });
  assert.equal(bars.at(-2)?.to, TOTAL);
  assert.deepEqual([bars.at(-1)?.from, bars.at(-1)?.to, bars.at(-1)?.isTotal], [0, TOTAL, true]);
  assert.deepEqual(spanOf(bars), [0, 3.75]);
  assert.deepEqual(spanOf(barsFromZero(headParts(COMPONENTS))), [-1, 0.5]);
});

void test("a head is one part, whatever its values came from, with its sources together", () => {
  const heads = headParts(COMPONENTS);
  assert.deepEqual(
    heads.map(({ name, value }) => [name, value]),
    [
      ["L1H0", -1],
      ["L0H1", 0.5],
    ],
  );
  const [first] = strongest(heads, 1);
  assert.equal(first?.name, "L1H0");
  assert.deepEqual(sourcesOf(first), [
    { position: 0, value: -2.5 },
    { position: 3, value: 1.5 },
  ]);
});

void test("heads and MLPs can be switched off, sums of heads and embeddings cannot", () => {
  const edits = [...partsByLayer(COMPONENTS), ...headParts(COMPONENTS)].map((part) => [part.name, editOf(part)]);
  assert.deepEqual(
    edits.filter(([, edit]) => edit !== null),
    [
      ["L1 MLP", { layer: 1, head: null }],
      ["L1H0", { layer: 1, head: 0 }],
      ["L0H1", { layer: 0, head: 1 }],
    ],
  );
});

void test("components are told by what they are inside their part", () => {
  assert.deepEqual(COMPONENTS.map(componentName), [
    "the token's own",
    "smeared from the token before",
    "mixed in by L0",
    "mixed in by L1",
    "L1H0, projected values",
    "L1H0, value embeddings",
    "L0H1",
    "its other neurons",
    "neuron 17",
    "",
  ]);
});
