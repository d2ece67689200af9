// The visible part of all three matrices as small pictures, made again only when they would look different.

import type { HeadData } from "../matrix/head_data";
import type { Span } from "../matrix/matrix_layout";
import { fittedTop, pixelOf, shareOf, type Scale } from "../matrix/value_scale";
import { STEPS, type ColourMap } from "../common/colour_map";
import type { Theme } from "../common/theme";
import type { Shown } from "./compare_state";
import type { DivergingMap } from "../common/diverging_map";
import { gridsOf, largestByRow, paint, type Grids } from "./grids";
import { positionsOf } from "./pair_space";

export const TYPE = "float16";
/** A fitted difference is never shown larger than this, so that nothing is made of rounding. */
const LEAST_TOP = 0.001;

export interface Part {
  rows: Span;
  columns: Span;
  cell: number;
}

export interface Scales {
  weights: Scale;
  difference: Scale;
}

export class PairPictures {
  private stamp: unknown[] = [];
  private painted: unknown[] = [];
  grids: Grids | null = null;

  /** Reads what is there; true where the grids are new. `stamps`: what they depend on besides. */
  read(shown: Shown, heads: { a: HeadData; b: HeadData }, part: Part, stamps: readonly unknown[]): boolean {
    const now = [...part.rows, ...part.columns, Math.min(1, part.cell), shown, ...stamps];
    if (now.length === this.stamp.length && now.every((value, i) => value === this.stamp[i])) {
      return false;
    }
    this.stamp = now;
    const tiled = (side: "a" | "b") => {
      const rows = positionsOf(shown.space[side], part.rows);
      const columns = positionsOf(shown.space[side], part.columns);
      return { tiles: [...heads[side].loaded(rows, columns, TYPE)], window: heads[side].window };
    };
    this.grids = gridsOf(shown.space, tiled("a"), tiled("b"), part.rows, part.columns, part.cell);
    return true;
  }

  /** The tops of the fitted scales, of what is read. */
  tops(): { top: number; topDifference: number } | null {
    const { grids } = this;
    if (grids === null) {
      return null;
    }
    const { a, b, difference, grid } = grids;
    return {
      top: fittedTop([...largestByRow(a, grid), ...largestByRow(b, grid)]),
      topDifference: Math.max(LEAST_TOP, fittedDifference(largestByRow(difference, grid))),
    };
  }

  paint(
    canvases: { a: HTMLCanvasElement; b: HTMLCanvasElement; difference: HTMLCanvasElement },
    theme: Theme,
    map: ColourMap,
    diverging: DivergingMap,
    scales: Scales,
  ): void {
    const { grids } = this;
    const now = [grids, theme, map, diverging, scales.weights.name, scales.weights.top, scales.difference.top];
    if (grids === null || now.every((value, i) => value === this.painted[i])) {
      return;
    }
    this.painted = now;
    const blank = pixelOf(theme.surface);
    const weights = pixelsOf(map);
    const [below, above] = [pixelsOf(diverging.below), pixelsOf(diverging.above)];
    const step = (value: number, scale: Scale): number => Math.round(shareOf(value, scale) * (STEPS - 1));
    const ofWeight = (value: number): number => weights[step(value, scales.weights)] ?? blank;
    const ofDifference = (value: number): number =>
      (value < 0 ? below : above)[step(Math.abs(value), scales.difference)] ?? blank;
    draw(canvases.a, grids.a, grids, blank, ofWeight);
    draw(canvases.b, grids.b, grids, blank, ofWeight);
    draw(canvases.difference, grids.difference, grids, blank, ofDifference);
  }

  forget(): void {
    this.stamp = [];
  }
}

/** Where nothing differs anywhere the top is not 1: a difference of 0 is. */
function fittedDifference(largest: readonly number[]): number {
  return largest.some((value) => value > 0) ? fittedTop(largest) : 1;
}

function pixelsOf(map: ColourMap): Uint32Array {
  return Uint32Array.from(map.colours, (colour) => pixelOf(colour));
}

function draw(
  canvas: HTMLCanvasElement,
  values: Float32Array,
  { grid: { width, height } }: Grids,
  blank: number,
  colour: (value: number) => number,
): void {
  const image = new ImageData(width, height);
  paint(new Uint32Array(image.data.buffer), values, blank, colour);
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}
