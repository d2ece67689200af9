// Colours for differences: from the page's background, which stands for 0, to blue below it and to orange above it.
//
// Blue and orange stay apart for every kind of colour vision; the hues are fixed, as some themes' own are not apart.

import { fromLab, textOn, toLab, type Rgb } from "./colour";
import { colourAt, STEPS, textAt, type ColourMap, type Ground } from "./colour_map";
import { css } from "./colour";

export interface DivergingMap {
  below: ColourMap;
  above: ColourMap;
}

const CHROMA = 0.16;
const BLUE = (255 * Math.PI) / 180;
const ORANGE = (58 * Math.PI) / 180;

export function divergingMap(ground: Ground): DivergingMap {
  return { below: half(ground, BLUE), above: half(ground, ORANGE) };
}

/** Lightness runs away from the background, as far as the hue is still seen. */
function half(ground: Ground, hue: number): ColourMap {
  const [start, a, b] = toLab(ground.background);
  const end = start < 0.55 ? 0.8 : 0.47;
  const colours = Array.from({ length: STEPS }, (_, step) => {
    const share = step / (STEPS - 1);
    const chroma = CHROMA * Math.sqrt(share); // faint differences have a hue already
    const rest = 1 - share;
    const lightness = start + (end - start) * share;
    return fromLab([lightness, a * rest + chroma * Math.cos(hue), b * rest + chroma * Math.sin(hue)]);
  });
  colours[0] = ground.background;
  const preferred = [ground.foreground, ground.background];
  return { colours, texts: colours.map((colour) => textOn(colour, preferred)) };
}

/** `share`: -1 to 1. */
export function divergingAt(map: DivergingMap, share: number): Rgb {
  return colourAt(share < 0 ? map.below : map.above, Math.abs(share));
}

export function divergingTextAt(map: DivergingMap, share: number): Rgb {
  return textAt(share < 0 ? map.below : map.above, Math.abs(share));
}

/** A CSS gradient from the lowest to the highest; `scale` of the distance from 0. */
export function divergingGradient(map: DivergingMap, scale: (share: number) => number): string {
  const stops = Array.from({ length: 33 }, (_, i) => {
    const share = (i - 16) / 16;
    return css(divergingAt(map, Math.sign(share) * scale(Math.abs(share))));
  });
  return `linear-gradient(to right, ${stops.join(", ")})`;
}
