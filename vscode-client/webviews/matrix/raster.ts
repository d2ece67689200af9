// The visible part of a head as a small picture, made again only when it would look different.

import { codeValue, type CodeType } from "../common/tensor_values";
import type { HeadData } from "./head_data";
import type { Span } from "./matrix_layout";
import { colourize, gridOf, sample, type Grid, type Paint } from "./pixels";

export class Raster {
  readonly canvas = document.createElement("canvas");
  private drawn: unknown[] = [];
  private codes = new Uint32Array(0);
  grid: Grid | null = null;
  /** Counts the pictures that were made. */
  version = 0;

  /** `stamps`: whatever else the picture depends on. */
  update(
    data: HeadData,
    rows: Span,
    columns: Span,
    cell: number,
    type: CodeType,
    paint: Paint,
    stamps: unknown[],
  ): void {
    const { palette, blank, rowStop, window } = paint;
    const now = [...rows, ...columns, Math.min(1, cell), type, palette, blank, rowStop, window, ...stamps];
    if (now.length === this.drawn.length && now.every((value, i) => value === this.drawn[i])) {
      return;
    }
    this.drawn = now;
    this.version += 1;
    const grid = gridOf(rows, columns, cell);
    const { width, height } = grid;
    this.grid = grid;
    if (this.codes.length < width * height) {
      this.codes = new Uint32Array(width * height);
    } else {
      this.codes.fill(0, 0, width * height);
    }
    for (const [tile, codes] of data.loaded(rows, columns, type)) {
      sample(this.codes, grid, tile, codes);
    }
    const image = new ImageData(width, height);
    colourize(new Uint32Array(image.data.buffer), this.codes, grid, paint);
    this.canvas.width = width;
    this.canvas.height = height;
    this.canvas.getContext("2d")?.putImageData(image, 0, 0);
  }

  /** Code at a cell of the grid, one cell a pixel; null where there is none. */
  codeAt(row: number, column: number): number | null {
    const { grid } = this;
    if (grid === null) {
      return null;
    }
    const code = this.codes[(row - grid.rows[0]) * grid.width + column - grid.columns[0]] ?? 0;
    return code === 0 ? null : code - 1;
  }

  /** Each row of pixels' largest weight, the first token's column left out. */
  largestByRow(type: CodeType, limit: number): number[] {
    const { grid } = this;
    if (grid === null) {
      return [];
    }
    return Array.from({ length: grid.height }, (_, row) => {
      const codes = this.codes.subarray(row * grid.width + 1, (row + 1) * grid.width);
      const largest = codes.reduce((most, code) => Math.max(most, code), 0);
      return largest === 0 ? 0 : codeValue(largest - 1, type, limit);
    });
  }

  /** The largest value of all. */
  largest(type: CodeType, limit: number): number {
    const { width, height } = this.grid ?? { width: 0, height: 0 };
    const most = this.codes.subarray(0, width * height).reduce((found, code) => Math.max(found, code), 0);
    return most === 0 ? 0 : codeValue(most - 1, type, limit);
  }

  forget(): void {
    this.drawn = [];
  }
}
