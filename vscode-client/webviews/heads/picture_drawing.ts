// A head's picture on a canvas of its own: the smaller weights lifted, and up to the largest of this head.

import { colourAt, type ColourMap } from "../common/colour_map";
import type { Picture } from "./head_pictures";

export function drawPicture({ cells, codes }: Picture, map: ColourMap): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = cells;
  const image = new ImageData(cells, cells);
  const largest = codes.reduce((most, code) => Math.max(most, code), 1);
  for (let query = 0; query < cells; query++) {
    for (let key = 0; key <= query; key++) {
      const place = query * cells + key;
      image.data.set([...colourAt(map, Math.sqrt((codes[place] ?? 0) / largest)), 255], 4 * place);
    }
  }
  canvas.getContext("2d")?.putImageData(image, 0, 0);
  return canvas;
}
