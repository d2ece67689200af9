// The theme's colours, read from VS Code's variables, and word when they change.

import { css, mix, parseColour, type Rgb } from "./colour";
import { colourMap, HUES, ofHue, type ColourMap, type Ground, type Hue } from "./colour_map";

export interface Theme {
  ground: Ground;
  /** What a matrix or a text lies on; value 0. */
  surface: Rgb;
  foreground: string;
  muted: string;
  accent: string;
  border: string;
  /** Of cells that a query cannot see. */
  maskedBackground: string;
  maskedLine: string;
  /** Lines of charts. */
  series: readonly string[];
  font: string;
  fontSize: number;
}

const LIGHT = { background: [255, 255, 255], foreground: [51, 51, 51] } as const;
const DARK = { background: [30, 30, 30], foreground: [212, 212, 212] } as const;

export function readTheme(): Theme {
  const style = getComputedStyle(document.body);
  const variable = (name: string): string => style.getPropertyValue(`--vscode-${name}`);
  const kind = document.body.classList;
  const light = kind.contains("vscode-light") || kind.contains("vscode-high-contrast-light");
  const fallback = light ? LIGHT : DARK;
  const background = parseColour(variable("editor-background"), fallback.background);
  const foreground = parseColour(variable("editor-foreground"), fallback.foreground, background);
  const colour = (name: string, otherwise: Rgb): Rgb => parseColour(variable(name), otherwise, background);
  const chart = (hue: Hue): Rgb => ofHue(hue, colour(`charts-${hue}`, HUES[hue]));
  const ground: Ground = {
    background,
    foreground,
    highContrast: kind.contains("vscode-high-contrast") || kind.contains("vscode-high-contrast-light"),
    purple: chart("purple"),
    blue: chart("blue"),
    green: chart("green"),
    yellow: chart("yellow"),
    orange: chart("orange"),
    red: chart("red"),
  };
  return {
    ground,
    surface: background,
    foreground: css(foreground),
    muted: css(mix(colour("descriptionForeground", foreground), foreground, 0.35)),
    accent: css(colour("focusBorder", ground.blue)),
    border: css(colour("contrastBorder", colour("panel-border", mix(background, foreground, 0.25)))),
    maskedBackground: css(mix(background, foreground, ground.highContrast ? 0 : 0.03)),
    maskedLine: css(mix(background, foreground, ground.highContrast ? 0.4 : 0.13)),
    series: [ground.blue, ground.orange, ground.green, ground.purple, ground.red, ground.yellow].map((line) =>
      css(line),
    ),
    font: variable("font-family") || "sans-serif",
    fontSize: Number.parseFloat(variable("font-size")) || 13,
  };
}

export function themeMap(theme: Theme, name: string): ColourMap {
  return colourMap(name, theme.ground);
}

/** VS Code writes the variables on <html> and the kind on <body>. */
export function watchTheme(changed: () => void): void {
  const observer = new MutationObserver(changed);
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ["style", "class"] });
  observer.observe(document.body, { attributes: true, attributeFilter: ["class", "data-vscode-theme-id"] });
}
