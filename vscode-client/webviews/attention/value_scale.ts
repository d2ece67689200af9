// How weights become places on the colour map: as they are, or with faint ones lifted.

import { STEPS, type ColourMap } from "../common/colour_map";
import { codeValue, LARGEST_CODE, type CodeType } from "../common/tensor_values";
import type { Rgb } from "../common/colour";

/** Where faint weights begin to show: with them lifted, this one takes a seventh of the map. */
const FAINT = 0.01;

/** 0 to 1 for 0 to 1. With `faint`, logarithmic: 0.01, 0.1 and 1 are as far apart as they are in orders of magnitude. */
export function shareOf(weight: number, faint: boolean): number {
  const limited = Math.min(1, Math.max(0, weight));
  return faint ? Math.log1p(limited / FAINT) / Math.log1p(1 / FAINT) : limited;
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
export function paletteOf(map: ColourMap, type: CodeType, faint: boolean): Uint32Array {
  const pixels = map.colours.map((colour) => pixelOf(colour));
  const palette = new Uint32Array(type === "uint8" ? 256 : 65536);
  const largest = LARGEST_CODE[type];
  for (let code = 0; code < palette.length; code++) {
    const share = code >= largest ? 1 : shareOf(codeValue(code, type), faint);
    palette[code] = pixels[Math.round(share * (STEPS - 1))] ?? 0;
  }
  return palette;
}

/** Bytes are enough where weights are shown as they are and the matrix is large; faint ones need more. */
export function codeTypeFor(positions: number, faint: boolean): CodeType {
  return faint || positions <= 256 ? "float16" : "uint8";
}
