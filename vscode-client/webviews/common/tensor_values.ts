// A tensor's bytes as numbers: base64 of float32, float16 or uint8, or nested lists.

import type { GetTensorResult } from "../../src/protocol";

/** Numbers that stand for weights: 0 to 255, or the bits of a float16, whose order is that of the values. */
export type Codes = Uint8Array | Uint16Array;

export function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    bytes[i] = text.charCodeAt(i);
  }
  return bytes;
}

export function codesOf(result: GetTensorResult): Codes {
  const bytes = bytesOf(String(result.data));
  return result.dtype === "uint8" ? bytes : new Uint16Array(bytes.buffer);
}

/** The values themselves, exactly as the daemon wrote them. */
export function valuesOf(result: GetTensorResult): Float32Array {
  if (typeof result.data !== "string") {
    return Float32Array.from(result.data.flat(3) as number[]);
  }
  return new Float32Array(bytesOf(result.data).buffer);
}

/** A float16's value from its bits. */
export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) {
    return fraction === 0 ? sign * Infinity : NaN;
  }
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

export type CodeType = "uint8" | "float16";

const INFINITY = 0x7c00; // as a float16; above it is what is no number

/** `largest`: what no value is above. */
export function codeValue(code: number, type: CodeType, largest = 1): number {
  return type === "uint8" ? code / 255 : Math.min(largest, fromHalf(Math.min(code, INFINITY)));
}
