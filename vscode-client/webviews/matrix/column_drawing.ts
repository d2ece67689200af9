// The column of the matrix that the text shows: whoever looks at its key, from the key itself on down.

import type { Scene } from "./matrix_drawing";
import type { Pen } from "./pen";

export function drawColumn(context: Pen, scene: Scene): void {
  const { column, cell, pixelRatio, theme } = scene;
  if (column === null) {
    return;
  }
  const line = Math.max(1, Math.round(pixelRatio));
  const width = Math.max(cell, 3 * pixelRatio);
  const left = (column + 0.5) * cell - width / 2 - scene.scrollX;
  const top = column * cell - scene.scrollY;
  context.strokeStyle = theme.accent;
  context.lineWidth = 2 * line;
  context.strokeRect(left, top, width, Math.max(0, scene.rowStop - column) * cell);
}
