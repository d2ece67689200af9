// Draws a head's matrix: cells, labels, what is lit. Lengths are device pixels.

import type { ColourMap } from "../common/colour_map";
import { css } from "../common/colour";
import type { Theme } from "../common/theme";
import { shortWeight } from "../common/number_text";
import { codeValue, type CodeType } from "../common/tensor_values";
import { textAt } from "../common/colour_map";
import { drawColumn } from "./column_drawing";
import { drawColumnLabels, drawRowLabels, setFont } from "./matrix_labels";
import { cellEdge, isMasked, type Seen } from "./matrix_layout";
import type { Pen } from "./pen";
import type { Raster } from "./raster";
import type { StillPicture } from "./still_picture";
import { shareOf, type Scale } from "./value_scale";

export interface Scene extends Seen {
  theme: Theme;
  map: ColourMap;
  labels: readonly string[];
  raster: Raster;
  type: CodeType;
  scale: Scale;
  /** The largest that a value can be. */
  limit: number;
  pixelRatio: number;
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

const LARGE_CELL = 28; // CSS pixels from which weights are written into the cells

export function drawMatrix(context: CanvasRenderingContext2D, scene: Scene, still: StillPicture): void {
  const { width, height } = context.canvas;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  const picture = still.of(width, height, stillStamps(scene), (pen) => {
    drawStill(pen, scene);
  });
  context.drawImage(picture, 0, 0, width, height);
  drawMoving(context, scene);
}

/** On a canvas, or into an SVG. */
export function drawScene(context: Pen, scene: Scene): void {
  drawStill(context, scene);
  drawMoving(context, scene);
}

/** All that `drawStill` depends on. */
function stillStamps(scene: Scene): unknown[] {
  const { raster, theme, map, scale, limit, type, pixelRatio, cell, left, top, scrollX, scrollY } = scene;
  const { positions, rowStop, window, promptLength, width, height } = scene;
  const looks = [raster.version, theme, map, scale.name, scale.top, scale.limit, limit, type, pixelRatio];
  return [...looks, cell, left, top, width, height, scrollX, scrollY, positions, rowStop, window, promptLength];
}

function drawStill(context: Pen, scene: Scene): void {
  inWindow(context, scene, () => {
    drawCells(context, scene);
    drawBoundaries(context, scene);
  });
  drawFrame(context, scene);
  drawAxes(context, scene);
}

function drawMoving(context: Pen, scene: Scene): void {
  inWindow(context, scene, () => {
    drawLit(context, scene);
    drawColumn(context, scene);
  });
  drawRowLabels(context, scene);
  drawColumnLabels(context, scene);
}

function inWindow(context: Pen, scene: Scene, draw: () => void): void {
  context.save();
  context.translate(scene.left, scene.top);
  context.beginPath();
  context.rect(0, 0, extent(scene, scene.width, scene.scrollX), extent(scene, scene.height, scene.scrollY));
  context.clip();
  draw();
  context.restore();
}

/** Which axis is which, in the corner between them. */
function drawAxes(context: Pen, scene: Scene): void {
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
  return Math.min(length, cellEdge(scene.positions, scene.cell, scroll));
}

function drawCells(context: Pen, scene: Scene): void {
  const { cell, rows, columns, raster, theme } = scene;
  context.fillStyle = theme.maskedBackground;
  context.fillRect(0, 0, scene.width, scene.height);
  drawHatch(context, scene);
  context.imageSmoothingEnabled = false;
  const x = columns[0] * cell - scene.scrollX;
  const y = rows[0] * cell - scene.scrollY;
  if (cell < 1 && raster.grid !== null) {
    const { width, height } = raster.grid; // its pixels are the screen's
    context.drawImage(raster.canvas, Math.round(x), Math.round(y), width, height);
  } else {
    context.drawImage(raster.canvas, x, y, (columns[1] - columns[0]) * cell, (rows[1] - rows[0]) * cell);
  }
  if (cell >= 10 * scene.pixelRatio) {
    drawGaps(context, scene);
  }
  if (cell >= LARGE_CELL * scene.pixelRatio) {
    drawValues(context, scene);
  }
}

/** Slanted lines where a query cannot see. */
function drawHatch(context: Pen, scene: Scene): void {
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

function drawGaps(context: Pen, scene: Scene): void {
  const { cell, rows, columns } = scene;
  const line = Math.max(1, Math.round(scene.pixelRatio));
  context.fillStyle = css(scene.theme.surface, 0.6);
  for (let row = rows[0]; row <= rows[1]; row++) {
    context.fillRect(0, cellEdge(row, cell, scene.scrollY), scene.width, line);
  }
  for (let column = columns[0]; column <= columns[1]; column++) {
    context.fillRect(cellEdge(column, cell, scene.scrollX), 0, line, scene.height);
  }
}

function drawValues(context: Pen, scene: Scene): void {
  const { cell, rows, columns, raster } = scene;
  setFont(context, scene, 10);
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let row = rows[0]; row < Math.min(rows[1], scene.rowStop); row++) {
    for (let column = columns[0]; column < Math.min(columns[1], row + 1); column++) {
      const code = isMasked(row, column, scene.window) ? null : raster.codeAt(row, column);
      if (code !== null) {
        const value = codeValue(code, scene.type, scene.limit);
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
function drawBoundaries(context: Pen, scene: Scene): void {
  const { cell, promptLength, positions } = scene;
  if (promptLength <= 0 || promptLength >= positions) {
    return;
  }
  const y = cellEdge(promptLength, cell, scene.scrollY);
  const x = cellEdge(promptLength, cell, scene.scrollX);
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

/** First pixel and length of a position, at least so long. */
function bandOf(position: number, cell: number, scroll: number, least: number): [number, number] {
  if (cell < least) {
    return [Math.round((position + 0.5) * cell - scroll - least / 2), least];
  }
  const start = cellEdge(position, cell, scroll);
  return [start, cellEdge(position + 1, cell, scroll) - start];
}

function drawLit(context: Pen, scene: Scene): void {
  const { cell, lit, key, fixed, pixelRatio, theme, scrollX, scrollY } = scene;
  const line = Math.max(1, Math.round(pixelRatio));
  const band = (row: number): [number, number] => bandOf(row, cell, scrollY, 3 * line);
  const strokeBand = (row: number): void => {
    const [top, height] = band(row);
    context.strokeRect(-scrollX, top, cellEdge(row + 1, cell, scrollX) + scrollX, height);
  };
  if (fixed !== null && fixed !== lit && fixed < scene.rowStop) {
    context.strokeStyle = theme.muted;
    context.lineWidth = line;
    strokeBand(fixed);
  }
  if (lit === null) {
    return;
  }
  context.strokeStyle = theme.accent;
  context.lineWidth = 2 * line;
  strokeBand(lit);
  if (key !== null) {
    const [left, width] = bandOf(key, cell, scrollX, 5 * line);
    const [top, height] = bandOf(lit, cell, scrollY, 5 * line);
    if (cell < LARGE_CELL * pixelRatio) {
      context.fillStyle = theme.accent;
      context.fillRect(left + Math.floor((width - line) / 2), 0, line, Math.max(0, band(lit)[0]));
    }
    context.strokeStyle = theme.foreground;
    context.strokeRect(left, top, width, height);
  }
}

function drawFrame(context: Pen, scene: Scene): void {
  const line = Math.max(1, Math.round(scene.pixelRatio));
  context.strokeStyle = scene.theme.border;
  context.lineWidth = line;
  const width = extent(scene, scene.width, scene.scrollX);
  const height = extent(scene, scene.height, scene.scrollY);
  context.strokeRect(scene.left - line / 2, scene.top - line / 2, width + line, height + line);
}
