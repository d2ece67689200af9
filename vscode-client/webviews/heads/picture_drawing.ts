// A head's picture: the smaller weights lifted, and up to the largest of this head.

import { colourAt, type ColourMap } from "../common/colour_map";
import type { Picture } from "./head_pictures";

const CODES = 256;

export function drawPicture({ cells, codes }: Picture, map: ColourMap): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = cells;
  const image = new ImageData(cells, cells);
  const largest = codes.reduce((most, code) => Math.max(most, code), 1);
  const colours = Array.from({ length: CODES }, (_, code) => colourAt(map, Math.sqrt(code / largest)));
  for (let query = 0; query < cells; query++) {
    for (let key = 0; key <= query; key++) {
      const place = query * cells + key;
      const [red, green, blue] = colours[codes[place] ?? 0] ?? [0, 0, 0];
      image.data.set([red, green, blue, 255], 4 * place);
    }
  }
  canvas.getContext("2d")?.putImageData(image, 0, 0);
  return canvas;
}
