// The comparing page without its elements: one axis for two texts, folds, grids of weights, colours, keys.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { ComparedRow } from "../../src/comparison";
import type { PositionPair, TokenRow } from "../../src/protocol";
import type { TraceData } from "../../src/shared/messages";
import { tilesOf } from "../../src/shared/tiles";
import { colourAt, type Ground } from "../../webviews/common/colour_map";
import { difference as apart, type Rgb } from "../../webviews/common/colour";
import { commonHeads, headRows, movedHead } from "../../webviews/compare/divergence_order";
import { divergingAt, divergingMap } from "../../webviews/common/diverging_map";
import { CONTEXT, sectionsOf } from "../../webviews/compare/folds";
import { gridsOf, largestByRow, paint, PENDING, type TiledHead } from "../../webviews/compare/grids";
import { countsOf, flipped, pairSpace, positionsOf } from "../../webviews/compare/pair_space";
import { besideIn, lineAway } from "../../webviews/compare/stops";
import { pairLabel, shortSigned, signed, spokenPair } from "../../webviews/compare/words";

/** "the gold is" beside "the sil ver is". */
const PAIRS: PositionPair[] = [
  { a: 0, b: 0, same: true },
  { a: 1, b: 1, same: false },
  { a: null, b: 2, same: false },
  { a: 2, b: 3, same: true },
];

void test("both texts lie on one axis, and the last tokens have no weights", () => {
  const space = pairSpace(PAIRS, 3, 4);
  assert.deepEqual([...space.a], [0, 1, -1, 2]);
  assert.deepEqual([...space.b], [0, 1, 2, 3]);
  assert.equal(pairSpace(PAIRS, 2, 3).count, 3);
  assert.equal(pairSpace([], 5, 5).count, 0);
  assert.deepEqual(positionsOf(space.a, [1, 4]), [1, 3]);
  assert.deepEqual(positionsOf(space.a, [2, 3]), [0, 0]);
});

void test("changed for each other twice, pairs are as they were", () => {
  assert.deepEqual(flipped(flipped(PAIRS)), PAIRS);
  assert.deepEqual(countsOf(PAIRS), { same: 2, changed: 1, onlyA: 0, onlyB: 1 });
  assert.deepEqual(countsOf(flipped(PAIRS)), { same: 2, changed: 1, onlyA: 1, onlyB: 0 });
});

void test("long equal runs fold, with context at both ends", () => {
  const same = [...Array<boolean>(30).fill(true), false, ...Array<boolean>(40).fill(true)];
  assert.deepEqual(sectionsOf(same), [
    { kind: "shown", first: 0, stop: CONTEXT },
    { kind: "fold", first: CONTEXT, stop: 30 - CONTEXT },
    { kind: "shown", first: 30 - CONTEXT, stop: 31 + CONTEXT },
    { kind: "fold", first: 31 + CONTEXT, stop: 71 - CONTEXT },
    { kind: "shown", first: 71 - CONTEXT, stop: 71 },
  ]);
  assert.deepEqual(sectionsOf(Array<boolean>(20).fill(true)), [{ kind: "shown", first: 0, stop: 20 }]);
  assert.deepEqual(sectionsOf([]), []);
  for (const size of [1, 23, 24, 25, 200]) {
    const places = sectionsOf(Array.from({ length: size }, (_, i) => i % 60 !== 0)).flatMap(({ first, stop }) =>
      Array.from({ length: stop - first }, (_, i) => first + i),
    );
    assert.deepEqual(places, [...Array(size).keys()]);
  }
});

/** Float16 codes of weights that are multiples of 1/1024. */
function half(value: number): number {
  if (value === 0) {
    return 0;
  }
  const exponent = Math.floor(Math.log2(value));
  return ((exponent + 15) << 10) | Math.round((value / 2 ** exponent - 1) * 1024);
}

function tiled(size: number, weight: (query: number, key: number) => number, window = size): TiledHead {
  const tiles = tilesOf([0, size], [0, size], size, window).map((tile) => {
    const [rows, columns] = [tile.rows[1] - tile.rows[0], tile.columns[1] - tile.columns[0]];
    const codes = new Uint16Array(rows * columns);
    for (let i = 0; i < codes.length; i++) {
      const [query, key] = [tile.rows[0] + Math.floor(i / columns), tile.columns[0] + (i % columns)];
      codes[i] = key > query ? 0 : half(weight(query, key));
    }
    return [tile, codes] as const;
  });
  return { tiles, window };
}

void test("B less A is over aligned positions; the others, later keys and keys outside the window are absent", () => {
  const space = pairSpace(PAIRS, 3, 4);
  const a = tiled(3, (query, key) => (query + key + 1) / 64);
  const b = tiled(4, (query, key) => (query * 4 + key) / 64);
  const { a: weightsA, difference } = gridsOf(space, a, b, [0, 4], [0, 4], 10);
  const at = (values: Float32Array, row: number, column: number): number => values[row * 4 + column] ?? 0;
  assert.equal(at(weightsA, 3, 1), (2 + 1 + 1) / 64);
  assert.ok(Number.isNaN(at(weightsA, 2, 0)) && Number.isNaN(at(weightsA, 3, 2)), "A has no such position");
  assert.equal(at(difference, 3, 1), (3 * 4 + 1) / 64 - 4 / 64);
  assert.equal(at(difference, 1, 1), 5 / 64 - 3 / 64);
  for (const [row, column] of [
    [2, 0],
    [3, 2],
    [0, 1],
  ] as const) {
    assert.ok(Number.isNaN(at(difference, row, column)));
  }
  const near = gridsOf(space, { ...a, window: 1 }, b, [0, 4], [0, 4], 10);
  assert.ok(Number.isNaN(at(near.difference, 3, 0)));
  const late = gridsOf(space, { tiles: [], window: 3 }, b, [0, 4], [0, 4], 10);
  assert.equal(at(late.a, 1, 0), PENDING);
  assert.equal(at(late.difference, 1, 0), PENDING);
  assert.ok(Number.isNaN(at(late.difference, 3, 2)), "what will never come is not waited for");
});

void test("many cells to a pixel keep the difference that is farthest from 0, with its sign", () => {
  const size = 600;
  const pairs = Array.from({ length: size }, (_, i) => ({ a: i, b: i, same: true }));
  const space = pairSpace(pairs, size, size);
  const a = tiled(size, (query, key) => (query === 500 && key === 100 ? 0.75 : 1 / 64));
  const b = tiled(size, (query, key) => (query === 300 && key === 10 ? 0.5 : 1 / 64));
  const { grid, difference } = gridsOf(space, a, b, [0, size], [0, size], 0.1);
  assert.equal(grid.width, 60);
  assert.equal(difference[50 * 60 + 10], 1 / 64 - 0.75);
  assert.equal(difference[30 * 60 + 1], 0.5 - 1 / 64);
  assert.equal(difference[40 * 60 + 20], 0);
  const largest = largestByRow(difference, grid);
  assert.equal(Math.max(...largest), 0.75 - 1 / 64);
});

void test("what is absent stays see-through, what is awaited is blank", () => {
  const pixels = new Uint32Array(3);
  paint(pixels, Float32Array.of(NaN, PENDING, 0.5), 7, (value) => value * 100);
  assert.deepEqual([...pixels], [0, 7, 50]);
});

const GROUNDS: Ground[] = [
  { background: [30, 30, 30], foreground: [212, 212, 212], highContrast: false },
  { background: [255, 255, 255], foreground: [0, 0, 0], highContrast: false },
  { background: [0, 0, 0], foreground: [255, 255, 255], highContrast: true },
  { background: [255, 255, 255], foreground: [41, 41, 41], highContrast: true },
].map((ground) => ({ ...ground, ...hues() }) as unknown as Ground);

function hues(): Record<string, Rgb> {
  const same: Rgb = [9, 9, 9]; // a theme whose own colours are of no use
  return { purple: same, blue: same, green: same, yellow: same, orange: same, red: same };
}

/** As somebody without one kind of cone sees it (Machado et al. 2009, severity 1). */
const BLIND = {
  protan: [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
  deutan: [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.01182, 0.04294, 0.968881],
};

function seen(colour: Rgb, matrix: readonly number[]): Rgb {
  return [0, 1, 2].map((row) =>
    Math.max(
      0,
      Math.min(
        255,
        colour.reduce((sum, channel, i) => sum + channel * (matrix[row * 3 + i] ?? 0), 0),
      ),
    ),
  ) as unknown as Rgb;
}

void test("differences of both signs stay apart in every theme and for colour-blind eyes; 0 is the page", () => {
  for (const ground of GROUNDS) {
    const map = divergingMap(ground);
    assert.deepEqual(divergingAt(map, 0), ground.background);
    for (const share of [0.3, 0.6, 1]) {
      const [below, above] = [divergingAt(map, -share), divergingAt(map, share)];
      for (const eyes of [null, BLIND.protan, BLIND.deutan]) {
        const [one, other] = eyes === null ? [below, above] : [seen(below, eyes), seen(above, eyes)];
        assert.ok(
          apart(one, other) > 0.08,
          `${ground.background.join(" ")} at ${share}: ${one.join(" ")} and ${other.join(" ")}`,
        );
      }
      assert.ok(apart(below, colourAt(map.below, share / 2)) > 0.03, "more is told from less");
    }
  }
});

function trace(heads: Record<number, number>): TraceData {
  const tensors = Object.fromEntries(
    Object.entries(heads).map(([layer, count]) => [
      `attention_weights.layer_${layer}`,
      { shape: [1, count, 5, 5], dtype: "torch.float32" },
    ]),
  );
  return { summary: { data_info: { tensors } } } as unknown as TraceData;
}

void test("only heads that both have are compared", () => {
  assert.deepEqual(
    [...commonHeads(trace({ 0: 4, 1: 4, 3: 4 }), trace({ 1: 2, 3: 8, 5: 8 }))],
    [
      [1, 2],
      [3, 4],
    ],
  );
  assert.equal(commonHeads(trace({}), trace({ 0: 4 })).size, 0);
});

void test("heads by layer or by divergence, and keys in both orders", () => {
  const common = new Map([
    [1, 2],
    [3, 2],
  ]);
  const known = new Map([
    [1, [0.25, null]],
    [3, [0.5, 0.125]],
  ]);
  const byLayer = headRows(common, known, "layer");
  const sorted = headRows(common, known, "divergence");
  assert.deepEqual(
    sorted.flat().map(({ layer, head }) => `${layer}.${head}`),
    ["3.0", "1.0", "3.1", "1.1"],
  );
  assert.deepEqual(movedHead("h", { layer: 1, head: 1 }, byLayer), { layer: 3, head: 0 });
  assert.deepEqual(movedHead("H", { layer: 3, head: 0 }, byLayer), { layer: 1, head: 1 });
  assert.deepEqual(movedHead("l", { layer: 1, head: 1 }, byLayer), { layer: 3, head: 1 });
  assert.equal(movedHead("L", { layer: 1, head: 1 }, byLayer), null);
  assert.deepEqual(movedHead("ArrowRight", { layer: 3, head: 0 }, sorted), { layer: 1, head: 0 });
  assert.equal(movedHead("x", { layer: 1, head: 0 }, byLayer), null);
  const uneven = headRows(
    new Map([
      [0, 1],
      [1, 3],
    ]),
    new Map(),
    "layer",
  );
  assert.deepEqual(movedHead("ArrowUp", { layer: 1, head: 2 }, uneven), { layer: 0, head: 0 });
});

void test("signs are spelled out", () => {
  assert.equal(signed(0.3333), "+0.333");
  assert.equal(signed(-0.00005), "−5.00e−5");
  assert.equal(signed(0), "0");
  assert.equal(signed(null), "–");
  assert.deepEqual([0.124, -0.124, 0.001, 1, -1].map(shortSigned), ["+.12", "−.12", "", "+1", "−1"]);
});

void test("pairs are named", () => {
  const token = (text: string): TokenRow => ({
    position: 1,
    id: 1,
    text,
    forced: false,
    generated: false,
    surprisal: null,
    top: [],
  });
  const row = (one?: string, other?: string): ComparedRow => ({
    one: one === undefined ? undefined : token(one),
    other: other === undefined ? undefined : token(other),
    same: one === other,
    difference: null,
  });
  assert.equal(pairLabel(row(" gold", " silver")), "·gold / ·silver");
  assert.equal(pairLabel(row(" is", " is")), "·is");
  assert.equal(spokenPair(row(undefined, " ver")), "“ver”, inserted in B");
  assert.equal(spokenPair(row(" gold", " silver")), "“gold” in A, “silver” in B");
});

void test("keys lead along a line and to the nearest of the next", () => {
  const stops = [0, 40, 90, 10, 70].map((offsetLeft, i) => ({ offsetLeft, offsetTop: i < 3 ? 0 : 30 }));
  const [first, second, third, fourth, last] = stops;
  assert.ok(first && second && third && fourth && last);
  assert.equal(besideIn(stops, second, "ArrowLeft"), first);
  assert.equal(besideIn(stops, second, "End"), last);
  assert.equal(besideIn(stops, last, "ArrowRight"), last);
  assert.equal(lineAway(stops, third, "ArrowDown"), last);
  assert.equal(lineAway(stops, fourth, "ArrowUp"), first);
  assert.equal(lineAway(stops, first, "ArrowUp"), first);
  assert.equal(lineAway(stops, first, "a"), null);
});
