// Colours as numbers: reading what CSS writes, OKLab, contrast.

/** Red, green and blue, 0 to 255. */
export type Rgb = readonly [number, number, number];
/** Lightness 0 to 1, green to red, blue to yellow (Ottosson 2020). */
export type Lab = readonly [number, number, number];

/** #rgb, #rrggbb, #rrggbbaa, rgb() or rgba(); alpha is mixed into `under`. */
export function parseColour(text: string, fallback: Rgb, under: Rgb = fallback): Rgb {
  const parsed = hexadecimal(text.trim()) ?? functional(text.trim());
  if (parsed === null) {
    return fallback;
  }
  const [red, green, blue, alpha] = parsed;
  return mix(under, [red, green, blue], alpha);
}

type Rgba = [number, number, number, number];

function hexadecimal(text: string): Rgba | null {
  const digits = /^#([0-9a-f]{3,8})$/i.exec(text)?.[1];
  if (digits === undefined || digits.length === 5 || digits.length === 7) {
    return null;
  }
  const pairs = digits.length <= 4 ? Array.from(digits, (digit) => digit + digit) : (digits.match(/../g) ?? []);
  const [red = 0, green = 0, blue = 0, alpha = 255] = pairs.map((pair) => Number.parseInt(pair, 16));
  return [red, green, blue, alpha / 255];
}

function functional(text: string): Rgba | null {
  const inside = /^rgba?\(([^)]+)\)$/i.exec(text)?.[1];
  if (inside === undefined) {
    return null;
  }
  const [red = 0, green = 0, blue = 0, alpha = 1] = inside
    .split(/[\s,/]+/)
    .filter((part) => part !== "")
    .map((part) => (part.endsWith("%") ? Number.parseFloat(part) / 100 : Number.parseFloat(part)));
  return [red, green, blue, alpha];
}

export function mix(from: Rgb, to: Rgb, share: number): Rgb {
  return [0, 1, 2].map((i) => Math.round(at(from, i) + (at(to, i) - at(from, i)) * share)) as unknown as Rgb;
}

export function css(colour: Rgb, alpha = 1): string {
  return alpha === 1 ? `rgb(${colour.join(" ")})` : `rgb(${colour.join(" ")} / ${alpha})`;
}

function at(triple: Rgb, index: number): number {
  return triple[index] ?? 0;
}

function toLinear(channel: number): number {
  const value = channel / 255;
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
}

function fromLinear(value: number): number {
  return 255 * (value <= 0.0031308 ? 12.92 * value : 1.055 * value ** (1 / 2.4) - 0.055);
}

export function toLab(colour: Rgb): Lab {
  const [r, g, b] = [toLinear(colour[0]), toLinear(colour[1]), toLinear(colour[2])];
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function linearRgb([L, a, b]: Lab): [number, number, number] {
  const l = (L + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (L - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (L - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
}

const inside = (channels: readonly number[]): boolean => channels.every((value) => value >= -1e-4 && value <= 1.0001);

/** The nearest colour of that lightness and hue that a screen has: chroma gives way. */
export function fromLab([L, a, b]: Lab): Rgb {
  const lightness = Math.min(1, Math.max(0, L));
  let [low, high] = [0, 1];
  if (inside(linearRgb([lightness, a, b]))) {
    low = 1;
  } else {
    for (let i = 0; i < 16; i++) {
      const middle = (low + high) / 2;
      if (inside(linearRgb([lightness, a * middle, b * middle]))) {
        low = middle;
      } else {
        high = middle;
      }
    }
  }
  const channels = linearRgb([lightness, a * low, b * low]);
  return channels.map((value) => Math.round(fromLinear(Math.min(1, Math.max(0, value))))) as unknown as Rgb;
}

/** How different two colours look, in OKLab. */
export function difference(one: Rgb, other: Rgb): number {
  const [a, b] = [toLab(one), toLab(other)];
  return Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

function luminance(colour: Rgb): number {
  return 0.2126 * toLinear(colour[0]) + 0.7152 * toLinear(colour[1]) + 0.0722 * toLinear(colour[2]);
}

/** WCAG's contrast ratio, 1 to 21. */
export function contrast(one: Rgb, other: Rgb): number {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

const READABLE = 4.5;
const BLACK: Rgb = [0, 0, 0];
const WHITE: Rgb = [255, 255, 255];

/** The first of the theme's colours that can be read on a background, else black or white, one of which always can. */
export function textOn(background: Rgb, preferred: readonly Rgb[]): Rgb {
  const readable = preferred.find((colour) => contrast(colour, background) >= READABLE);
  return readable ?? (contrast(BLACK, background) >= READABLE ? BLACK : WHITE);
}
