// The matrix: where its cells are, which tiles it needs, what its pixels show.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  cellEdge,
  columnsFor,
  fittedCell,
  fittingOf,
  isMasked,
  labelStride,
  placedLabels,
  positionAt,
  scrollKeeping,
  scrollTo,
  visibleSpan,
  zoomedCell,
} from "../../webviews/matrix/matrix_layout";
import { movedCell, movedHead } from "../../webviews/matrix/moves";
import { colourize, gridOf, sample } from "../../webviews/matrix/pixels";
import { TILE_ROWS, tilesOf, windowOf } from "../../src/shared/tiles";

void test("cells take all the space, up to a size", () => {
  assert.equal(fittedCell(700, 51, 1), 700 / 51);
  assert.equal(fittedCell(240, 1024, 1), 240 / 1024);
  assert.equal(fittedCell(700, 4, 1), 64);
  assert.equal(fittedCell(1400, 4, 2), 128);
  assert.equal(fittedCell(100, 0, 1), 64);
});

void test("every device pixel belongs to the cell that its middle lies in, and none is left over", () => {
  for (const [pixels, positions] of [
    [700, 51],
    [1000, 999],
    [613, 64],
  ] as const) {
    const cell = fittedCell(pixels, positions, 1);
    const edges = Array.from({ length: positions + 1 }, (_, position) => cellEdge(position, cell, 0));
    assert.deepEqual([edges[0], edges.at(-1)], [0, pixels]);
    for (let pixel = 0; pixel < pixels; pixel++) {
      const position = Math.floor((pixel + 0.5) / cell);
      assert.ok((edges[position] ?? NaN) <= pixel && pixel < (edges[position + 1] ?? NaN), `${pixel} of ${pixels}`);
    }
  }
});

void test("a matrix takes the smaller side of its room, and more columns once it is zoomed", () => {
  const room = { width: 800, height: 600, left: 100, top: 80, right: 20 };
  const whole = fittingOf(room, 100, 1, null);
  assert.deepEqual([whole.whole, whole.width, whole.height, whole.zoomed], [520, 520, 520, false]);
  const zoomed = fittingOf(room, 100, 1, 7);
  assert.deepEqual([zoomed.whole, zoomed.width, zoomed.height, zoomed.zoomed], [700, 680, 520, true]);
  assert.equal(fittingOf(room, 100, 1, 3).cell, whole.fit); // smaller than what fits
  const fine = fittingOf(room, 100, 1.25, null);
  assert.deepEqual([fine.left, fine.top, fine.whole], [125, 100, 650]);
});

void test("so many matrices stand as they are largest", () => {
  assert.equal(columnsFor(1, 900, 700), 1);
  assert.equal(columnsFor(2, 900, 700), 2);
  assert.equal(columnsFor(4, 900, 700), 2);
  assert.equal(columnsFor(4, 1800, 400), 4);
  assert.equal(columnsFor(3, 300, 900), 1);
});

void test("zooming in always grows, zooming out ends at what fits", () => {
  assert.equal(zoomedCell(1, 1.25, 0.5, 1), 2);
  assert.equal(zoomedCell(13, 1.25, 13, 1), 17);
  assert.equal(zoomedCell(90, 1.25, 13, 1), 96);
  assert.equal(zoomedCell(14, 0.8, 13, 1), 13);
  assert.equal(zoomedCell(1, 0.8, 0.5, 1), 0.8);
});

void test("what is visible, and what is under a point", () => {
  assert.deepEqual(visibleSpan(0, 100, 10, 51), [0, 10]);
  assert.deepEqual(visibleSpan(15, 100, 10, 51), [1, 12]);
  assert.deepEqual(visibleSpan(450, 100, 10, 51), [45, 51]);
  assert.equal(positionAt(19, 0, 10, 51), 1);
  assert.equal(positionAt(19, 500, 10, 51), null);
  assert.equal(positionAt(-1, 100, 10, 51), null);
});

void test("scrolling shows a cell, and zooming keeps the one under the mouse", () => {
  assert.equal(scrollTo(5, 0, 200, 10), 0);
  assert.equal(scrollTo(30, 0, 200, 10), 130);
  assert.equal(scrollTo(3, 100, 200, 10), 10);
  assert.equal(scrollTo(0, 100, 200, 10), 0);
  const scroll = scrollKeeping(50, 100, 10, 20);
  assert.equal((scroll + 50) / 20, (100 + 50) / 10);
});

void test("a query sees itself and so many before", () => {
  assert.ok(isMasked(3, 4, 10));
  assert.ok(!isMasked(3, 3, 10));
  assert.ok(!isMasked(12, 2, 10));
  assert.ok(isMasked(13, 2, 10));
});

void test("labels keep their distance, those that must be shown first", () => {
  assert.equal(labelStride(13, 12), 1);
  assert.equal(labelStride(4, 12), 5);
  assert.equal(labelStride(0.25, 12), 50);
  assert.deepEqual(placedLabels([0, 20], 4, 12, []), [0, 5, 10, 15]);
  assert.deepEqual(placedLabels([0, 20], 4, 12, [6]), [0, 6, 10, 15]);
  assert.deepEqual(placedLabels([0, 20], 4, 12, [6, 7, 30]), [0, 6, 10, 15]);
  assert.deepEqual(placedLabels([10, 20], 4, 12, []), [10, 15]);
});

void test("tiles above the diagonal and outside the window are not asked for", () => {
  const tiles = tilesOf([0, 1024], [0, 1024], 1024, 1024);
  assert.deepEqual(
    tiles.map(({ rows, columns }) => [...rows, ...columns]),
    [
      [0, 256, 0, 256],
      [256, 512, 0, 512],
      [512, 768, 0, 768],
      [768, 1024, 0, 1024],
    ],
  );
  assert.deepEqual(
    tilesOf([2100, 2200], [0, 2300], 2300, 100).map(({ columns }) => [...columns]),
    [
      [1024, 2048],
      [2048, 2300],
    ].map(([start, stop]) => [start, stop]),
  );
  assert.deepEqual(tilesOf([0, 10], [0, 12], 12, 12), [{ rows: [0, 12], columns: [0, 12] }]);
  assert.deepEqual(tilesOf([0, 0], [0, 0], 0, 0), []);
  assert.equal(tilesOf([100, 300], [0, 1024], 1024, 1024).length, 2);
  assert.equal(TILE_ROWS, 256);
});

void test("the last row tells the window", () => {
  assert.equal(windowOf([0, 0, 0.2, 0.8]), 1);
  assert.equal(windowOf([0.1, 0, 0.2, 0.7]), 4);
  assert.equal(windowOf([0, 0, 0, 1]), 0);
  assert.equal(windowOf([1]), 1);
});

const PALETTE = Uint32Array.from({ length: 256 }, (_, code) => 1000 + code);
const BLANK = 7;

function shown(cell: number, size: number, codes: Uint8Array, rowStop = size, window = size): number[][] {
  const grid = gridOf([0, size], [0, size], cell);
  const sampled = new Uint32Array(grid.width * grid.height);
  sample(sampled, grid, { rows: [0, size], columns: [0, size] }, codes);
  const pixels = new Uint32Array(sampled.length);
  colourize(pixels, sampled, grid, { palette: PALETTE, blank: BLANK, rowStop, window });
  return Array.from({ length: grid.height }, (_, y) => [...pixels.slice(y * grid.width, (y + 1) * grid.width)]);
}

void test("one cell a pixel: colours where a query sees, nothing where it does not", () => {
  const codes = Uint8Array.from([9, 0, 0, 4, 5, 0, 1, 2, 3]);
  assert.deepEqual(shown(5, 3, codes), [
    [1009, 0, 0],
    [1004, 1005, 0],
    [1001, 1002, 1003],
  ]);
  assert.deepEqual(shown(5, 3, codes, 3, 1)[2], [0, 1002, 1003]);
});

void test("rows that are not computed yet are blank", () => {
  assert.deepEqual(shown(1, 2, Uint8Array.from([9, 0, 4, 5]), 1), [
    [1009, 0],
    [BLANK, BLANK],
  ]);
});

void test("several cells a pixel: the largest shows, so that a thin diagonal stays", () => {
  const size = 8;
  const codes = new Uint8Array(size * size);
  for (let row = 1; row < size; row++) {
    codes[row * size + row - 1] = 200;
  }
  const rows = shown(0.25, size, codes);
  assert.deepEqual(rows, [
    [1200, 0],
    [1200, 1200],
  ]);
});

void test("what has not come yet is blank", () => {
  const grid = gridOf([0, 4], [0, 4], 1);
  const sampled = new Uint32Array(16);
  sample(sampled, grid, { rows: [2, 4], columns: [0, 4] }, Uint8Array.from([1, 1, 1, 0, 2, 2, 2, 2]));
  const pixels = new Uint32Array(16);
  colourize(pixels, sampled, grid, { palette: PALETTE, blank: BLANK, rowStop: 4, window: 4 });
  assert.deepEqual([...pixels.slice(0, 4)], [BLANK, 0, 0, 0]);
  assert.deepEqual([...pixels.slice(12)], [1002, 1002, 1002, 1002]);
});

void test("arrow keys stay among the cells that a query sees", () => {
  const bounds = { rows: 6, firstKey: (query: number) => Math.max(0, query - 3) };
  assert.deepEqual(movedCell("ArrowRight", { query: 2, key: 2 }, bounds), { query: 2, key: 2 });
  assert.deepEqual(movedCell("ArrowUp", { query: 2, key: 2 }, bounds), { query: 1, key: 1 });
  assert.deepEqual(movedCell("ArrowDown", { query: 4, key: 1 }, bounds), { query: 5, key: 2 });
  assert.deepEqual(movedCell("Home", { query: 5, key: 5 }, bounds), { query: 5, key: 2 });
  assert.deepEqual(movedCell("End", { query: 5, key: 2 }, bounds), { query: 5, key: 5 });
  assert.deepEqual(movedCell("PageDown", { query: 0, key: 0 }, bounds), { query: 5, key: 2 });
  assert.deepEqual(movedCell("Mod+End", { query: 0, key: 0 }, bounds), { query: 5, key: 5 });
  assert.equal(movedCell("Tab", { query: 0, key: 0 }, bounds), null);
  assert.equal(movedCell("ArrowUp", { query: 0, key: 0 }, { ...bounds, rows: 0 }), null);
});

void test("arrow keys in the overview go by the layers that were captured", () => {
  const layers = [1, 3, 7];
  assert.deepEqual(movedHead("ArrowDown", { layer: 1, head: 2 }, layers, 4), { layer: 3, head: 2 });
  assert.deepEqual(movedHead("ArrowDown", { layer: 7, head: 2 }, layers, 4), { layer: 7, head: 2 });
  assert.deepEqual(movedHead("ArrowRight", { layer: 1, head: 3 }, layers, 4), { layer: 1, head: 3 });
  assert.deepEqual(movedHead("Mod+End", { layer: 1, head: 0 }, layers, 4), { layer: 7, head: 3 });
  assert.equal(movedHead("Enter", { layer: 1, head: 0 }, layers, 4), null);
});
