// Draws one of the three matrices: cells on the axis of pairs, labels, the cursor. Lengths are device pixels.

import { css } from "../common/colour";
import type { Rgb } from "../common/colour";
import type { Theme } from "../common/theme";
import { clipped } from "../common/token_text";
import { placedLabels, type Seen } from "../matrix/matrix_layout";
import type { Grid } from "../matrix/pixels";
import { PENDING } from "./grids";

export interface Scene extends Seen {
  theme: Theme;
  picture: HTMLCanvasElement;
  grid: Grid;
  values: Float32Array;
  /** What is written into large cells, and in which colour. */
  text: (value: number) => string;
  ink: (value: number) => Rgb;
  labels: (place: number) => string;
  ratio: number;
  count: number;
  query: number | null;
  key: number | null;
  /** Places whose tokens differ: their labels are marked. */
  changed: (place: number) => boolean;
}

type Context = CanvasRenderingContext2D;
const LABEL_SIZE = 10.5; // CSS pixels
const LABEL_ROOM = 12;
const SLANT = Math.PI / 3.2;
const LARGE_CELL = 26; // CSS pixels from which weights are written into the cells
const HATCH = 6;

export function drawPairs(context: Context, scene: Scene): void {
  const { canvas } = context;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.save();
  context.translate(scene.left, scene.top);
  context.beginPath();
  context.rect(0, 0, scene.width, scene.height);
  context.clip();
  drawHatch(context, scene);
  drawCells(context, scene);
  drawCursor(context, scene);
  context.restore();
  context.strokeStyle = scene.theme.border;
  context.lineWidth = scene.ratio;
  const half = scene.ratio / 2;
  context.strokeRect(scene.left - half, scene.top - half, scene.width + scene.ratio, scene.height + scene.ratio);
  drawLabels(context, scene);
}

function drawHatch(context: Context, { theme, width, height, ratio, scrollX, scrollY }: Scene): void {
  context.fillStyle = theme.maskedBackground;
  context.fillRect(0, 0, width, height);
  const step = HATCH * ratio;
  context.strokeStyle = theme.maskedLine;
  context.lineWidth = ratio;
  context.beginPath();
  for (let x = -((scrollX + scrollY) % step); x < width + height; x += step) {
    context.moveTo(x, 0);
    context.lineTo(x - height, height);
  }
  context.stroke();
}

function drawCells(context: Context, scene: Scene): void {
  const { cell, rows, columns, picture, ratio, theme } = scene;
  context.imageSmoothingEnabled = false;
  const [x, y] = [columns[0] * cell - scene.scrollX, rows[0] * cell - scene.scrollY];
  context.drawImage(picture, x, y, (columns[1] - columns[0]) * cell, (rows[1] - rows[0]) * cell);
  if (cell >= 10 * ratio) {
    context.fillStyle = css(theme.surface, 0.6);
    for (let row = rows[0]; row <= rows[1]; row++) {
      context.fillRect(0, Math.round(row * cell - scene.scrollY), scene.width, ratio);
    }
    for (let column = columns[0]; column <= columns[1]; column++) {
      context.fillRect(Math.round(column * cell - scene.scrollX), 0, ratio, scene.height);
    }
  }
  if (cell >= LARGE_CELL * ratio) {
    drawValues(context, scene);
  }
}

function drawValues(context: Context, scene: Scene): void {
  const { cell, rows, columns, grid, values, ratio } = scene;
  setFont(context, scene, 10, 400);
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let row = rows[0]; row < rows[1]; row++) {
    for (let column = columns[0]; column < Math.min(columns[1], row + 1); column++) {
      const value = values[(row - rows[0]) * grid.width + column - columns[0]] ?? NaN;
      if (!Number.isNaN(value) && value !== PENDING) {
        context.fillStyle = css(scene.ink(value));
        const [x, y] = [(column + 0.5) * cell - scene.scrollX, (row + 0.5) * cell - scene.scrollY + ratio / 2];
        context.fillText(scene.text(value), x, y);
      }
    }
  }
}

/** The query's row and the key's column up to it, framed; the cell itself twice. */
function drawCursor(context: Context, scene: Scene): void {
  const { cell, query, key, ratio, theme } = scene;
  if (query === null || query >= scene.count) {
    return;
  }
  const size = Math.max(cell, 3 * ratio);
  const shift = (size - cell) / 2;
  const at = (place: number, scroll: number): number => place * cell - scroll - shift;
  context.strokeStyle = theme.accent;
  context.lineWidth = ratio;
  const y = at(query, scene.scrollY);
  context.strokeRect(at(0, scene.scrollX) + 0.5, y + 0.5, query * cell + size, size - 1);
  if (key !== null) {
    const x = at(key, scene.scrollX);
    context.strokeRect(x + 0.5, at(key, scene.scrollY) + 0.5, size - 1, (query - key) * cell + size - 1);
    context.strokeStyle = theme.foreground;
    context.lineWidth = 2 * ratio;
    context.strokeRect(x, y, size, size);
  }
}

function drawLabels(context: Context, scene: Scene): void {
  const { left, top, cell, ratio, theme, query, key } = scene;
  const room = LABEL_ROOM * ratio;
  context.textBaseline = "middle";
  const rows = placedLabels(scene.rows, cell, room, query === null ? [] : [query]);
  for (const place of rows) {
    const y = top + (place + 0.5) * cell - scene.scrollY;
    if (y >= top && y <= top + scene.height) {
      const lit = place === query;
      style(context, scene, place, lit);
      context.textAlign = "right";
      context.fillText(fitting(context, scene.labels(place), left - 10 * ratio), left - 6 * ratio, y);
    }
  }
  const wanted = [key, query].filter((place) => place !== null);
  const columns = placedLabels(scene.columns, cell, room, wanted);
  for (const place of columns) {
    const x = left + (place + 0.5) * cell - scene.scrollX;
    if (x < left || x > left + scene.width) {
      continue;
    }
    context.save();
    context.translate(x, top - 5 * ratio);
    context.rotate(-SLANT);
    style(context, scene, place, place === key);
    context.textAlign = "left";
    context.fillText(fitting(context, scene.labels(place), (top - 10 * ratio) / Math.sin(SLANT)), 0, 0);
    context.restore();
    if (place === key) {
      context.fillStyle = theme.accent;
      context.fillRect(x - room / 2, top - 3 * ratio, room, 2 * ratio);
    }
  }
}

function style(context: Context, scene: Scene, place: number, lit: boolean): void {
  setFont(context, scene, LABEL_SIZE, lit || scene.changed(place) ? 600 : 400);
  context.fillStyle = lit || scene.changed(place) ? scene.theme.foreground : scene.theme.muted;
}

function setFont(context: Context, { theme, ratio }: Scene, size: number, weight: number): void {
  context.font = `${weight} ${size * ratio}px ${theme.font}`;
}

function fitting(context: Context, text: string, width: number): string {
  if (context.measureText(text).width <= width) {
    return text;
  }
  let length = Math.min(Array.from(text).length - 1, 40);
  while (length > 2 && context.measureText(clipped(text, length)).width > width) {
    length--;
  }
  return clipped(text, length);
}
