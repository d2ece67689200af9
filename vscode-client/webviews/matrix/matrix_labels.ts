// Labels beside and above a matrix: of the rows and columns that have room, and of those that are lit.

import { clipped } from "../common/token_text";
import type { Scene } from "./matrix_drawing";
import { placedLabels } from "./matrix_layout";
import type { Pen } from "./pen";
import type { Theme } from "../common/theme";

const LABEL_SIZE = 10.5; // CSS pixels
const LABEL_ROOM = 12;
const SLANT = Math.PI / 3.2;

/** What the labels need: of rows to the left, of columns above. CSS pixels. */
export function gutters(
  context: Pen,
  labels: readonly string[],
  theme: Theme,
  wide: boolean,
): { left: number; top: number } {
  context.font = `600 ${LABEL_SIZE}px ${theme.font}`;
  const width = labels.reduce((most, text) => Math.max(most, context.measureText(text).width), 0);
  const rise = wide ? Math.sin(SLANT) : 1;
  return {
    left: Math.round(Math.min(wide ? 104 : 64, Math.max(48, width + 12))),
    top: Math.round(Math.min(wide ? 84 : 60, Math.max(34, width * rise + 16))),
  };
}

export function setFont(context: Pen, scene: Scene, size: number, bold = false): void {
  context.font = `${bold ? "600 " : ""}${size * scene.pixelRatio}px ${scene.theme.font}`;
}

function wantedLabels(first: number | null, second: number | null, others: readonly number[]): number[] {
  return [first, second, ...others].filter((position) => position !== null);
}

export function drawRowLabels(context: Pen, scene: Scene): void {
  const { cell, lit, fixed, pixelRatio, left } = scene;
  const room = LABEL_ROOM * pixelRatio;
  const shown = placedLabels(scene.rows, cell, room, wantedLabels(lit, fixed, []));
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const row of shown) {
    const y = scene.top + (row + 0.5) * cell - scene.scrollY;
    if (y < scene.top || y > scene.top + scene.height) {
      continue;
    }
    const strong = row === lit;
    setFont(context, scene, LABEL_SIZE, strong);
    const text = fitted(context, label(scene, row), left - 8 * pixelRatio);
    context.fillStyle =
      row >= scene.rowStop ? scene.theme.maskedLine : strong ? scene.theme.foreground : scene.theme.muted;
    context.fillText(text, left - 5 * pixelRatio, y);
    if (strong) {
      context.fillStyle = scene.theme.accent;
      context.fillRect(left - 3 * pixelRatio, y - room / 2, 2 * pixelRatio, room);
    }
  }
}

export function drawColumnLabels(context: Pen, scene: Scene): void {
  const { cell, key, named, pixelRatio, top } = scene;
  const angle = scene.slanted ? SLANT : Math.PI / 2;
  const room = ((scene.slanted ? LABEL_SIZE : LABEL_ROOM) * pixelRatio) / Math.sin(angle);
  const shown = placedLabels(scene.columns, cell, room, wantedLabels(key, null, named));
  context.textAlign = "left";
  context.textBaseline = "middle";
  for (const column of shown) {
    const x = scene.left + (column + 0.5) * cell - scene.scrollX;
    if (x < scene.left || x > scene.left + scene.width) {
      continue;
    }
    const strong = column === key || named.includes(column);
    setFont(context, scene, LABEL_SIZE, column === key);
    const text = fitted(context, label(scene, column), (top - 10 * pixelRatio) / Math.sin(angle));
    context.save();
    context.translate(x, top - 5 * pixelRatio);
    context.rotate(-angle);
    context.fillStyle = strong ? scene.theme.foreground : scene.theme.muted;
    context.fillText(text, 0, 0);
    context.restore();
    if (column === key) {
      context.fillStyle = scene.theme.accent;
      context.fillRect(x - room / 2, top - 3 * pixelRatio, room, 2 * pixelRatio);
    }
  }
}

function label(scene: Scene, position: number): string {
  return scene.labels[position] ?? "";
}

/** Cut to a width. */
function fitted(context: Pen, text: string, width: number): string {
  if (context.measureText(text).width <= width) {
    return text;
  }
  let length = Array.from(text).length - 1;
  while (length > 2 && context.measureText(clipped(text, length)).width > width) {
    length--;
  }
  return clipped(text, length);
}
