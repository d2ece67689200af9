// From weights to pixels: several cells to a pixel keep the largest, masked cells stay see-through.

import type { Codes } from "../common/tensor_values";
import type { Span } from "./matrix_layout";
import type { Tile } from "../../src/shared/tiles";

/** Part of a matrix on a grid of pixels, one a cell or fewer. */
export interface Grid {
  rows: Span;
  columns: Span;
  width: number;
  height: number;
}

export function gridOf(rows: Span, columns: Span, cell: number): Grid {
  const scale = Math.min(1, cell);
  const size = ([first, stop]: Span): number => Math.max(1, Math.ceil((stop - first) * scale - 1e-6));
  return { rows, columns, width: size(columns), height: size(rows) };
}

/** Put a tile's codes where they belong; a code is kept plus one, 0 is not there yet. */
export function sample(into: Uint32Array, grid: Grid, tile: Tile, codes: Codes): void {
  const firstRow = Math.max(grid.rows[0], tile.rows[0]);
  const lastRow = Math.min(grid.rows[1], tile.rows[1]);
  const firstColumn = Math.max(grid.columns[0], tile.columns[0]);
  const lastColumn = Math.min(grid.columns[1], tile.columns[1]);
  const tileWidth = tile.columns[1] - tile.columns[0];
  const places = placesOf(grid.columns, grid.width);
  const yPlaces = placesOf(grid.rows, grid.height);
  for (let row = firstRow; row < lastRow; row++) {
    const from = (row - tile.rows[0]) * tileWidth - tile.columns[0];
    const to = (yPlaces[row - grid.rows[0]] ?? 0) * grid.width;
    for (let column = firstColumn; column < lastColumn; column++) {
      const code = (codes[from + column] ?? 0) + 1;
      const place = to + (places[column - grid.columns[0]] ?? 0);
      if (code > (into[place] ?? 0)) {
        into[place] = code;
      }
    }
  }
}

function placesOf([first, stop]: Span, size: number): Uint32Array {
  const places = new Uint32Array(stop - first);
  for (let i = 0; i < places.length; i++) {
    places[i] = Math.min(size - 1, Math.floor((i * size) / places.length));
  }
  return places;
}

export interface Paint {
  /** A pixel's 32 bits, by code. */
  palette: Uint32Array;
  /** Of cells whose value has not come yet, and of rows that are not computed yet. */
  blank: number;
  /** Rows from here on are not computed yet. */
  rowStop: number;
  window: number;
}

/** Colours for a sampled grid; masked cells get no colour, so that what is drawn beneath shows. */
export function colourize(pixels: Uint32Array, codes: Uint32Array, grid: Grid, paint: Paint): void {
  const { palette, blank, rowStop, window } = paint;
  const rowScale = (grid.rows[1] - grid.rows[0]) / grid.height;
  const columnScale = (grid.columns[1] - grid.columns[0]) / grid.width;
  for (let y = 0; y < grid.height; y++) {
    const firstQuery = grid.rows[0] + Math.floor(y * rowScale);
    const lastQuery = Math.max(firstQuery, grid.rows[0] + Math.ceil((y + 1) * rowScale) - 1);
    const computed = firstQuery < rowStop;
    for (let x = 0; x < grid.width; x++) {
      const place = y * grid.width + x;
      const firstKey = grid.columns[0] + Math.floor(x * columnScale);
      const lastKey = Math.max(firstKey, grid.columns[0] + Math.ceil((x + 1) * columnScale) - 1);
      const code = codes[place] ?? 0;
      if (firstKey > lastQuery || lastKey < firstQuery - window) {
        pixels[place] = computed ? 0 : blank;
      } else {
        pixels[place] = computed && code > 0 ? (palette[code - 1] ?? blank) : blank;
      }
    }
  }
}
