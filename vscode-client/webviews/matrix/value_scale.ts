// How weights become places on the colour map: up to what the head has, on a logarithmic scale, or as they are.

import { STEPS, type ColourMap } from "../common/colour_map";
import { codeValue, type CodeType } from "../common/tensor_values";
import type { Rgb } from "../common/colour";

/** On the logarithmic scale this weight takes a seventh of the map. */
const FAINT = 0.01;
/** Of the rows that the fitted scale has room for. */
const FITTING_ROWS = 0.9;

export const SCALES = {
  fitted: "Fitted: up to the largest weight of nine rows in ten, those on the first token aside",
  log: "Logarithmic: 0.01, 0.1 and 1 are equally far apart",
  unit: "0 to 1",
};
export type ScaleName = keyof typeof SCALES;

/** `top`: the weight that has the map's last colour; `limit`: the largest there can be, 1 but for weighted values. */
export interface Scale {
  name: ScaleName;
  top: number;
  limit?: number;
}

/** A place on the map, 0 to 1, for a weight from 0 to the limit. */
export function shareOf(weight: number, { name, top, limit = 1 }: Scale): number {
  if (name === "fitted") {
    return Math.min(1, Math.max(0, weight) / top);
  }
  const limited = Math.min(1, Math.max(0, weight / limit));
  return name === "log" ? Math.log1p(limited / FAINT) / Math.log1p(1 / FAINT) : limited;
}

/** The top of the fitted scale: of so many rows, each with its largest weight. */
export function fittedTop(largest: readonly number[]): number {
  const known = largest.filter((weight) => weight > 0).sort((a, b) => a - b);
  return known[Math.ceil(known.length * FITTING_ROWS) - 1] ?? 1;
}

/** A pixel's bits as ImageData has them in memory. */
export function pixelOf(colour: Rgb, littleEndian = IS_LITTLE_ENDIAN): number {
  const [red, green, blue] = colour;
  const bits = littleEndian
    ? (255 << 24) | (blue << 16) | (green << 8) | red
    : (red << 24) | (green << 16) | (blue << 8) | 255;
  return bits >>> 0;
}

const IS_LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/** The colour of each code. */
export function paletteOf(map: ColourMap, type: CodeType, scale: Scale): Uint32Array {
  const pixels = map.colours.map((colour) => pixelOf(colour));
  const limit = scale.name === "fitted" ? Math.max(1, scale.top) : (scale.limit ?? 1);
  const palette = new Uint32Array(type === "uint8" ? 256 : 65536);
  for (let code = 0; code < palette.length; code++) {
    const share = shareOf(codeValue(code, type, limit), scale);
    const pixel = pixels[Math.round(share * (STEPS - 1))] ?? 0;
    palette[code] = pixel;
    if (share >= 1) {
      palette.fill(pixel, code); // all above is the same, and most of the codes
      break;
    }
  }
  return palette;
}

/** Bytes are enough where weights are shown as they are and the matrix is large; other scales need more. */
export function codeTypeFor(positions: number, scale: ScaleName, weighted = false): CodeType {
  return weighted || scale !== "unit" || positions <= 256 ? "float16" : "uint8";
}
