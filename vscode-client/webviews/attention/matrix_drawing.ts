// Draws a head's matrix: cells, labels, what is lit. Lengths are device pixels.

import type { ColourMap } from "../common/colour_map";
import { css } from "../common/colour";
import type { Theme } from "../common/theme";
import { shortWeight } from "../common/number_text";
import { codeValue, type CodeType } from "../common/tensor_values";
import { textAt } from "../common/colour_map";
import { clipped } from "../common/token_text";
import { drawColumn } from "./column_drawing";
import { isMasked, placedLabels, type Span } from "./matrix_layout";
import type { Raster } from "./raster";
import { shareOf, type Scale } from "./value_scale";

export interface Scene {
  theme: Theme;
  map: ColourMap;
  labels: readonly string[];
  raster: Raster;
  type: CodeType;
  scale: Scale;
  pixelRatio: number;
  cell: number;
  /** The gutters of the labels, and the window on the matrix right of and below them. */
  left: number;
  top: number;
  width: number;
  height: number;
  scrollX: number;
  scrollY: number;
  rows: Span;
  columns: Span;
  positions: number;
  rowStop: number;
  window: number;
  promptLength: number;
  /** The lit row, the key pointed at, keys to name. */
  lit: number | null;
  key: number | null;
  fixed: number | null;
  column: number | null;
  named: readonly number[];
  slanted: boolean;
}

type Context = CanvasRenderingContext2D;
const LABEL_SIZE = 10.5; // CSS pixels
const LABEL_ROOM = 12;
const SLANT = Math.PI / 3.2;
const LARGE_CELL = 28; // CSS pixels from which weights are written into the cells

export function drawMatrix(context: Context, scene: Scene): void {
  const { canvas } = context;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.save();
  context.translate(scene.left, scene.top);
  context.beginPath();
  context.rect(0, 0, extent(scene, scene.width, scene.scrollX), extent(scene, scene.height, scene.scrollY));
  context.clip();
  drawCells(context, scene);
  drawBoundaries(context, scene);
  drawLit(context, scene);
  drawColumn(context, scene);
  context.restore();
  drawFrame(context, scene);
  drawAxes(context, scene);
  drawRowLabels(context, scene);
  drawColumnLabels(context, scene);
}

/** What the labels need: of rows to the left, of columns above. CSS pixels. */
export function gutters(
  context: Context,
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

/** Which axis is which, in the corner between them. */
function drawAxes(context: Context, scene: Scene): void {
  const { left, top, pixelRatio, theme } = scene;
  setFont(context, scene, 9.5);
  context.fillStyle = theme.muted;
  context.textAlign = "right";
  context.textBaseline = "alphabetic";
  context.fillText("key →", left - 8 * pixelRatio, top - 20 * pixelRatio);
  context.fillText("query ↓", left - 8 * pixelRatio, top - 9 * pixelRatio);
}

/** How much of the window the matrix fills. */
function extent(scene: Scene, length: number, scroll: number): number {
  return Math.min(length, Math.ceil(scene.positions * scene.cell - scroll));
}

function drawCells(context: Context, scene: Scene): void {
  const { cell, rows, columns, raster, theme } = scene;
  context.fillStyle = theme.maskedBackground;
  context.fillRect(0, 0, scene.width, scene.height);
  drawHatch(context, scene);
  context.imageSmoothingEnabled = false;
  const x = columns[0] * cell - scene.scrollX;
  const y = rows[0] * cell - scene.scrollY;
  context.drawImage(raster.canvas, x, y, (columns[1] - columns[0]) * cell, (rows[1] - rows[0]) * cell);
  if (cell >= 10 * scene.pixelRatio) {
    drawGaps(context, scene);
  }
  if (cell >= LARGE_CELL * scene.pixelRatio) {
    drawValues(context, scene);
  }
}

/** Slanted lines where a query cannot see. */
function drawHatch(context: Context, scene: Scene): void {
  const { width, height, pixelRatio, theme } = scene;
  const step = 6 * pixelRatio;
  context.strokeStyle = theme.maskedLine;
  context.lineWidth = pixelRatio;
  context.beginPath();
  const shift = (scene.scrollX + scene.scrollY) % step;
  for (let x = -shift; x < width + height; x += step) {
    context.moveTo(x, 0);
    context.lineTo(x - height, height);
  }
  context.stroke();
}

function drawGaps(context: Context, scene: Scene): void {
  const { cell, rows, columns } = scene;
  context.fillStyle = css(scene.theme.surface, 0.6);
  for (let row = rows[0]; row <= rows[1]; row++) {
    context.fillRect(0, row * cell - scene.scrollY, scene.width, scene.pixelRatio);
  }
  for (let column = columns[0]; column <= columns[1]; column++) {
    context.fillRect(column * cell - scene.scrollX, 0, scene.pixelRatio, scene.height);
  }
}

function drawValues(context: Context, scene: Scene): void {
  const { cell, rows, columns, raster } = scene;
  setFont(context, scene, 10);
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let row = rows[0]; row < Math.min(rows[1], scene.rowStop); row++) {
    for (let column = columns[0]; column < Math.min(columns[1], row + 1); column++) {
      const code = isMasked(row, column, scene.window) ? null : raster.codeAt(row, column);
      if (code !== null) {
        const value = codeValue(code, scene.type);
        context.fillStyle = css(textAt(scene.map, shareOf(value, scene.scale)));
        context.fillText(
          shortWeight(value),
          (column + 0.5) * cell - scene.scrollX,
          (row + 0.5) * cell - scene.scrollY + scene.pixelRatio / 2,
        );
      }
    }
  }
}

/** Where the prompt ends, on both axes. */
function drawBoundaries(context: Context, scene: Scene): void {
  const { cell, promptLength, positions } = scene;
  if (promptLength <= 0 || promptLength >= positions) {
    return;
  }
  const y = Math.round(promptLength * cell - scene.scrollY);
  const x = Math.round(promptLength * cell - scene.scrollX);
  context.strokeStyle = scene.theme.muted;
  context.lineWidth = Math.max(1, Math.round(scene.pixelRatio));
  context.setLineDash([3 * scene.pixelRatio, 3 * scene.pixelRatio]);
  context.beginPath();
  context.moveTo(0, y + 0.5);
  context.lineTo(scene.width, y + 0.5);
  context.moveTo(x + 0.5, 0);
  context.lineTo(x + 0.5, scene.height);
  context.stroke();
  context.setLineDash([]);
}

function drawLit(context: Context, scene: Scene): void {
  const { cell, lit, key, fixed, pixelRatio, theme } = scene;
  const line = Math.max(1, Math.round(pixelRatio));
  const bandHeight = Math.max(cell, 3 * pixelRatio);
  const bandTop = (row: number): number => (row + 0.5) * cell - bandHeight / 2 - scene.scrollY;
  const right = (row: number): number => (row + 1) * cell - scene.scrollX;
  if (fixed !== null && fixed !== lit && fixed < scene.rowStop) {
    context.strokeStyle = theme.muted;
    context.lineWidth = line;
    context.strokeRect(-scene.scrollX, bandTop(fixed), right(fixed) + scene.scrollX, bandHeight);
  }
  if (lit === null) {
    return;
  }
  context.strokeStyle = theme.accent;
  context.lineWidth = 2 * line;
  context.strokeRect(-scene.scrollX, bandTop(lit), right(lit) + scene.scrollX, bandHeight);
  if (key !== null) {
    const size = Math.max(cell, 5 * pixelRatio);
    const x = (key + 0.5) * cell - scene.scrollX;
    if (cell < LARGE_CELL * pixelRatio) {
      context.fillStyle = theme.accent;
      context.fillRect(x - line / 2, 0, line, Math.max(0, bandTop(lit)));
    }
    context.strokeStyle = theme.foreground;
    context.strokeRect(x - size / 2, (lit + 0.5) * cell - scene.scrollY - size / 2, size, size);
  }
}

function drawFrame(context: Context, scene: Scene): void {
  const line = Math.max(1, Math.round(scene.pixelRatio));
  context.strokeStyle = scene.theme.border;
  context.lineWidth = line;
  const width = extent(scene, scene.width, scene.scrollX);
  const height = extent(scene, scene.height, scene.scrollY);
  context.strokeRect(scene.left - line / 2, scene.top - line / 2, width + line, height + line);
}

function setFont(context: Context, scene: Scene, size: number, bold = false): void {
  context.font = `${bold ? "600 " : ""}${size * scene.pixelRatio}px ${scene.theme.font}`;
}

function wantedLabels(first: number | null, second: number | null, others: readonly number[]): number[] {
  return [first, second, ...others].filter((position) => position !== null);
}

function drawRowLabels(context: Context, scene: Scene): void {
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

function drawColumnLabels(context: Context, scene: Scene): void {
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
function fitted(context: Context, text: string, width: number): string {
  if (context.measureText(text).width <= width) {
    return text;
  }
  let length = Array.from(text).length - 1;
  while (length > 2 && context.measureText(clipped(text, length)).width > width) {
    length--;
  }
  return clipped(text, length);
}
