// Colour maps: even steps from the background on, in every theme; text that can be read on them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { contrast, difference, fromLab, parseColour, textOn, toLab, type Rgb } from "../../webviews/common/colour";
import { COLOUR_MAPS, colourMap, ofHue, type Ground } from "../../webviews/common/colour_map";

const CHARTS = {
  purple: [177, 128, 215],
  blue: [55, 148, 255],
  green: [137, 209, 133],
  yellow: [204, 167, 0],
  orange: [209, 134, 22],
  red: [241, 76, 76],
} as const;
const GROUNDS: Record<string, Ground> = {
  light: { background: [255, 255, 255], foreground: [0, 0, 0], highContrast: false, ...CHARTS },
  dark: { background: [30, 30, 30], foreground: [212, 212, 212], highContrast: false, ...CHARTS },
  contrast: { background: [0, 0, 0], foreground: [255, 255, 255], highContrast: true, ...CHARTS },
  contrastLight: {
    background: [255, 255, 255],
    foreground: [41, 41, 41],
    highContrast: true,
    purple: [101, 45, 144],
    blue: [26, 133, 255],
    green: [55, 78, 6],
    yellow: [137, 85, 3],
    orange: [15, 74, 133], // as VS Code has it
    red: [181, 32, 13],
  },
};
const EACH = Object.entries(GROUNDS).flatMap(([theme, ground]) =>
  Object.keys(COLOUR_MAPS).map((name) => ({ theme, name, ground, map: colourMap(name, ground) })),
);

const colourOf = (colours: readonly Rgb[], index: number): Rgb => colours[index] ?? [NaN, NaN, NaN];

void test("a map begins with the background and goes far from it", () => {
  for (const { theme, name, ground, map } of EACH) {
    assert.deepEqual(map.colours[0], ground.background);
    const end = colourOf(map.colours, 255);
    assert.ok(contrast(end, ground.background) > 10, `${theme} ${name}`);
  }
});

void test("no map ends in black, and orange is orange in every theme", () => {
  const hueOf = (colour: Rgb): number => (Math.atan2(toLab(colour)[2], toLab(colour)[1]) * 180) / Math.PI;
  for (const { theme, name, map } of EACH) {
    const [lightness, a, b] = toLab(colourOf(map.colours, 255));
    assert.ok(lightness > 0.2, `${theme} ${name} ends at ${lightness}`);
    if (name === "orange") {
      const hues = [64, 128, 192].map((step) => hueOf(colourOf(map.colours, step)));
      assert.ok(
        hues.every((hue) => hue > 40 && hue < 90),
        `${theme}: ${hues.join()}`,
      );
    }
    if (theme.endsWith("ight") && name !== "grey") {
      assert.ok(Math.hypot(a, b) > 0.04, `${theme} ${name} ends without a hue`);
    }
  }
  assert.deepEqual(ofHue("blue", [26, 133, 255]), [26, 133, 255]); // a theme's own blue stays
});

void test("lightness goes one way", () => {
  for (const { theme, name, map } of EACH) {
    const lightness = map.colours.map((colour) => toLab(colour)[0]);
    const way = Math.sign((lightness[255] ?? 0) - (lightness[0] ?? 0));
    for (let i = 8; i < 256; i++) {
      assert.ok(((lightness[i] ?? 0) - (lightness[i - 8] ?? 0)) * way > 0, `${theme} ${name} at ${i}`);
    }
  }
});

void test("equal steps look alike: no sixteenth of a map is a quarter longer or shorter than the mean", () => {
  for (const { theme, name, map } of EACH) {
    const lengths = Array.from({ length: 16 }, (_, part) => {
      const first = 1 + part * 15; // from 0, which may be blacker than what can be told apart, it may be farther
      return difference(colourOf(map.colours, first), colourOf(map.colours, first + 15));
    });
    const mean = lengths.reduce((sum, length) => sum + length, 0) / lengths.length;
    for (const length of lengths) {
      assert.ok(Math.abs(length - mean) < 0.25 * mean, `${theme} ${name}: ${length.toFixed(4)} of ${mean.toFixed(4)}`);
    }
  }
});

void test("text can be read on every colour", () => {
  for (const { theme, name, map } of EACH) {
    map.colours.forEach((colour, i) => {
      assert.ok(contrast(colour, colourOf(map.texts, i)) >= 4.5, `${theme} ${name} at ${i}`);
    });
  }
});

void test("an unknown map is the default one", () => {
  const ground = GROUNDS.dark;
  assert.ok(ground !== undefined);
  assert.deepEqual(colourMap("", ground), colourMap("ember", ground));
});

void test("colours are read as CSS writes them", () => {
  const none: Rgb = [1, 2, 3];
  assert.deepEqual(parseColour("#fff", none), [255, 255, 255]);
  assert.deepEqual(parseColour(" #1e1E1e ", none), [30, 30, 30]);
  assert.deepEqual(parseColour("#ff000080", none, [0, 0, 0]), [128, 0, 0]);
  assert.deepEqual(parseColour("rgba(204, 204, 204, 0.5)", none, [0, 0, 0]), [102, 102, 102]);
  assert.deepEqual(parseColour("rgb(10 20 30 / 50%)", none, [0, 0, 0]), [5, 10, 15]);
  assert.deepEqual(parseColour("", none), none);
  assert.deepEqual(parseColour("#12345", none), none);
});

void test("OKLab and back", () => {
  const colours: Rgb[] = [
    [0, 0, 0],
    [255, 255, 255],
    [55, 148, 255],
    [241, 76, 76],
  ];
  for (const colour of colours) {
    assert.deepEqual(fromLab(toLab(colour)), colour);
  }
  const [red, green, blue] = fromLab([0.6, 0.5, 0.5]); // no screen has it: chroma gives way, not lightness
  assert.ok(Math.abs(toLab([red, green, blue])[0] - 0.6) < 0.02);
});

void test("the theme's colours are preferred for text", () => {
  assert.deepEqual(textOn([255, 255, 255], [[51, 51, 51]]), [51, 51, 51]);
  assert.deepEqual(textOn([255, 255, 255], [[200, 200, 200]]), [0, 0, 0]);
  assert.deepEqual(textOn([20, 20, 20], [[51, 51, 51]]), [255, 255, 255]);
});
