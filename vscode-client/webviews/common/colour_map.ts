// Colour maps made of the theme's colours: from its background, in steps that look alike.

import { css, difference, fromLab, textOn, toLab, type Lab, type Rgb } from "./colour";

export const STEPS = 256;

export interface ColourMap {
  /** One a step; the first is the background. */
  colours: readonly Rgb[];
  /** The colour of text on each. */
  texts: readonly Rgb[];
}

/** What a map is made of: the theme's background and its text colour, and colours to pass through. */
export interface Ground {
  background: Rgb;
  foreground: Rgb;
  /** High contrast themes use all the lightness there is. */
  highContrast: boolean;
  purple: Rgb;
  blue: Rgb;
  green: Rgb;
  yellow: Rgb;
  orange: Rgb;
  red: Rgb;
}

export type Hue = "purple" | "blue" | "green" | "yellow" | "orange" | "red";

/** What each hue is where a theme does not say, or says another: High Contrast Light's orange is a dark blue. */
export const HUES: Record<Hue, Rgb> = {
  purple: [177, 128, 215],
  blue: [55, 148, 255],
  green: [137, 209, 133],
  yellow: [204, 167, 0],
  orange: [209, 134, 22],
  red: [241, 76, 76],
};
const OTHER_HUE = (50 * Math.PI) / 180; // farther than this from its own, a colour has another name

/** By name: the hues passed, the darkest first. On a light background the way is taken from the other end. */
export const COLOUR_MAPS: Record<string, readonly Hue[]> = {
  ember: ["purple", "red", "orange", "yellow"],
  ocean: ["purple", "blue", "green", "yellow"],
  blue: ["blue"],
  orange: ["orange"],
  grey: [],
};
export const DEFAULT_MAP = "ember";
const CHROMA = 0.15;
const LEAST_CHROMA = 0.03; // below, a colour is a grey
const SAMPLES = 1024;
/** The darkest colour that can be told from black. */
const DARKEST = 0.17;

export function colourMap(name: string, ground: Ground): ColourMap {
  const hues = COLOUR_MAPS[name] ?? COLOUR_MAPS[DEFAULT_MAP] ?? [];
  const colours = evenly(path(hues, ground), STEPS);
  colours[0] = ground.background;
  const preferred = [ground.foreground, ground.background];
  return { colours, texts: colours.map((colour) => textOn(colour, preferred)) };
}

/** The theme's colour where it is of that hue; else the hue itself, as light as the theme's colour is. */
export function ofHue(hue: Hue, colour: Rgb): Rgb {
  const [lightness, a, b] = toLab(colour);
  const [, ownA, ownB] = toLab(HUES[hue]);
  const turn = Math.abs(Math.atan2(b, a) - Math.atan2(ownB, ownA));
  const isOwn = Math.hypot(a, b) > LEAST_CHROMA && Math.min(turn, 2 * Math.PI - turn) < OTHER_HUE;
  return isOwn ? colour : fromLab([lightness, ownA, ownB]);
}

/** Lightness runs in a straight line to the far end; the hues come one after the other. */
function path(hues: readonly Hue[], ground: Ground): Rgb[] {
  const start = toLab(ground.background);
  const dark = start[0] < 0.55;
  const end = dark ? (ground.highContrast ? 1 : 0.95) : 0.25; // darker ones are all black
  const first = Math.max(start[0], DARKEST);
  const passed = (dark ? hues : [...hues].reverse()).map((hue) => vivid(toLab(ofHue(hue, ground[hue]))));
  const last = passed.at(-1);
  const stops: Lab[] = [start, ...passed, last === undefined ? [end, 0, 0] : [end, last[1] * 0.5, last[2] * 0.5]];
  return Array.from({ length: SAMPLES }, (_, i) => {
    const share = i / (SAMPLES - 1);
    const [a, b] = along(stops, share);
    return fromLab([first + (end - first) * share, a, b]);
  });
}

function vivid([lightness, a, b]: Lab): Lab {
  const chroma = Math.hypot(a, b);
  const scale = chroma === 0 ? 0 : CHROMA / chroma;
  return [lightness, a * scale, b * scale];
}

function along(stops: readonly Lab[], share: number): [number, number] {
  const place = share * (stops.length - 1);
  const index = Math.min(Math.floor(place), stops.length - 2);
  const [from, to] = [stops[index], stops[index + 1]];
  if (from === undefined || to === undefined) {
    return [0, 0];
  }
  const part = place - index;
  return [from[1] + (to[1] - from[1]) * part, from[2] + (to[2] - from[2]) * part];
}

/** Points of a path with the same difference from one to the next. */
function evenly(points: readonly Rgb[], count: number): Rgb[] {
  const lengths = [0];
  for (let i = 1; i < points.length; i++) {
    const [a, b] = [points[i - 1], points[i]];
    lengths.push((lengths[i - 1] ?? 0) + (a === undefined || b === undefined ? 0 : difference(a, b)));
  }
  const total = lengths.at(-1) ?? 0;
  const even: Rgb[] = [];
  let index = 0;
  for (let step = 0; step < count; step++) {
    const wanted = (total * step) / (count - 1);
    while (index < points.length - 1 && (lengths[index] ?? 0) < wanted) {
      index++;
    }
    even.push(points[index] ?? [0, 0, 0]);
  }
  return even;
}

export function colourAt(map: ColourMap, share: number): Rgb {
  return map.colours[stepOf(share)] ?? [0, 0, 0];
}

export function textAt(map: ColourMap, share: number): Rgb {
  return map.texts[stepOf(share)] ?? [0, 0, 0];
}

function stepOf(share: number): number {
  return Math.min(STEPS - 1, Math.max(0, Math.round(share * (STEPS - 1))));
}

/** A CSS gradient of the map, for legends. */
export function gradient(map: ColourMap, scale: (share: number) => number = (share) => share): string {
  const stops = Array.from({ length: 17 }, (_, i) => css(colourAt(map, scale(i / 16))));
  return `linear-gradient(to right, ${stops.join(", ")})`;
}
