// The weights of both traces on the axis of pairs, and their difference, as pixels: several cells to a pixel keep the
// largest weight, and the difference that is farthest from 0.

import type { Codes } from "../common/tensor_values";
import { fromHalf } from "../common/tensor_values";
import { gridOf, type Grid } from "../matrix/pixels";
import type { Span } from "../matrix/matrix_layout";
import { TILE_ROWS, type Tile } from "../../src/shared/tiles";
import type { PairSpace } from "./pair_space";

const ONE = 0x3c00; // as a float16

/** There is no such cell: a later key, one outside the window, a position that the text does not have. */
export const ABSENT = NaN;
/** The value has not come yet. */
export const PENDING = Infinity;

/** One trace's share of a picture: float16 codes in tiles. */
export interface TiledHead {
  tiles: readonly (readonly [Tile, Codes])[];
  window: number;
}

export interface Grids {
  grid: Grid;
  a: Float32Array;
  b: Float32Array;
  /** B less A. */
  difference: Float32Array;
}

let halves: Float32Array | null = null;

/** The value of each code up to that of 1. */
function halfValues(): Float32Array {
  halves ??= Float32Array.from({ length: ONE + 1 }, (_, code) => fromHalf(code));
  return halves;
}

export function gridsOf(space: PairSpace, a: TiledHead, b: TiledHead, rows: Span, columns: Span, cell: number): Grids {
  const grid = gridOf(rows, columns, cell);
  const { width, height } = grid;
  const size = width * height;
  const grids: Grids = {
    grid,
    a: new Float32Array(size).fill(ABSENT),
    b: new Float32Array(size).fill(ABSENT),
    difference: new Float32Array(size).fill(ABSENT),
  };
  const [rowA, rowB] = [new Float32Array(columns[1] - columns[0]), new Float32Array(columns[1] - columns[0])];
  const [bandsA, bandsB] = [bandsOf(a), bandsOf(b)];
  for (let query = rows[0]; query < rows[1]; query++) {
    readRow(rowA, bandsA, a.window, space.a, query, columns);
    readRow(rowB, bandsB, b.window, space.b, query, columns);
    const line = Math.min(height - 1, Math.floor(((query - rows[0]) * height) / (rows[1] - rows[0]))) * width;
    const stop = Math.min(columns[1], query + 1) - columns[0];
    for (let column = 0; column < stop; column++) {
      const place = line + Math.min(width - 1, Math.floor((column * width) / rowA.length));
      const [one, other] = [rowA[column] ?? ABSENT, rowB[column] ?? ABSENT];
      keep(grids.a, place, one);
      keep(grids.b, place, other);
      keep(grids.difference, place, one === PENDING || other === PENDING ? pending(one, other) : other - one);
    }
  }
  return grids;
}

function pending(one: number, other: number): number {
  return Number.isNaN(one) || Number.isNaN(other) ? ABSENT : PENDING;
}

function keep(into: Float32Array, place: number, value: number): void {
  const before = into[place] ?? ABSENT;
  if (Number.isNaN(before) || (Math.abs(value) > Math.abs(before) && before !== PENDING)) {
    into[place] = value;
  }
}

type Bands = Map<number, (readonly [Tile, Codes])[]>;

function bandsOf({ tiles }: TiledHead): Bands {
  const bands: Bands = new Map();
  for (const tile of tiles) {
    const band = Math.floor(tile[0].rows[0] / TILE_ROWS);
    bands.set(band, [...(bands.get(band) ?? []), tile]);
  }
  return bands;
}

/** A query's weights by place, of the places up to its own. */
function readRow(
  into: Float32Array,
  bands: Bands,
  window: number,
  side: Int32Array,
  place: number,
  columns: Span,
): void {
  into.fill(ABSENT);
  const query = side[place] ?? -1;
  if (query < 0) {
    return;
  }
  const values = halfValues();
  const band = bands.get(Math.floor(query / TILE_ROWS)) ?? [];
  const stop = Math.min(columns[1], place + 1);
  let tile: (typeof band)[number] | undefined;
  for (let column = columns[0]; column < stop; column++) {
    const key = side[column] ?? -1;
    if (key < 0 || key < query - window) {
      continue;
    }
    if (tile === undefined || key >= tile[0].columns[1]) {
      tile = band.find(([{ columns: span }]) => key >= span[0] && key < span[1]); // keys only grow
    }
    if (tile === undefined) {
      into[column - columns[0]] = PENDING;
      continue;
    }
    const [{ rows, columns: span }, codes] = tile;
    const code = codes[(query - rows[0]) * (span[1] - span[0]) + key - span[0]] ?? 0;
    into[column - columns[0]] = values[Math.min(code, ONE)] ?? 0;
  }
}

/** The colour of each value, 32 bits a pixel; what is absent stays see-through. */
export function paint(
  pixels: Uint32Array,
  values: Float32Array,
  blank: number,
  colour: (value: number) => number,
): void {
  for (let place = 0; place < values.length; place++) {
    const value = values[place] ?? ABSENT;
    pixels[place] = Number.isNaN(value) ? 0 : value === PENDING ? blank : colour(value);
  }
}

/** Each row's largest distance from 0, the first column left out: most heads look there, whatever they read. */
export function largestByRow(values: Float32Array, { width, height, columns }: Grid): number[] {
  const from = columns[0] === 0 && width > 1 ? 1 : 0;
  return Array.from({ length: height }, (_, row) => {
    let largest = 0;
    for (let place = row * width + from; place < (row + 1) * width; place++) {
      const size = Math.abs(values[place] ?? 0);
      largest = size > largest && size !== PENDING ? size : largest;
    }
    return largest;
  });
}
