// The matrices as a picture to keep: names, labels and what the colours mean, as PNG or SVG.

import { css } from "../common/colour";
import { colourAt } from "../common/colour_map";
import { createStore } from "../common/store";
import { threeDigits } from "../common/number_text";
import { clipped } from "../common/token_text";
import { scaleOf, type AttentionState } from "../attention/attention_state";
import { lookWords } from "../attention/look";
import { drawScene } from "./matrix_drawing";
import { gutters, setFont } from "./matrix_labels";
import { fittingOf } from "./matrix_layout";
import { emptyPanel, panelData } from "../attention/panel";
import type { Pen } from "./pen";
import { Raster } from "./raster";
import { Palettes, sceneOf, type Drawn, type Framing } from "./scene";
import { sourceName, type Source } from "./source";
import { SvgPen } from "./svg_pen";
import { shareOf } from "./value_scale";

const SIDE = { least: 360, most: 760, cell: 14 }; // CSS pixels of a matrix
const MARGIN = 16;
const TITLE = 24;
const HEADING = 26;
const LEGEND = 40;
const LEGEND_WIDTH = 260;
const PROMPT_LENGTH = 90;

interface Sheet {
  looking: AttentionState;
  matrices: { name: string; drawn: Drawn; framing: Framing }[];
  columns: number;
  /** Pixels for each CSS pixel. */
  ratio: number;
  /** Of a matrix with its labels. */
  width: number;
  height: number;
}

export async function pngOf(looking: AttentionState, sources: readonly Source[], columns: number): Promise<string> {
  const sheet = await sheetOf(looking, sources, columns, 2);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = sizeOf(sheet);
  const context = canvas.getContext("2d");
  if (context === null) {
    throw new Error("There is no room for a picture of this size.");
  }
  drawSheet(context, sheet);
  return canvas.toDataURL("image/png").replace(/^data:[^,]*,/, "");
}

export async function svgOf(looking: AttentionState, sources: readonly Source[], columns: number): Promise<string> {
  const sheet = await sheetOf(looking, sources, columns, 1);
  const ruler = document.createElement("canvas").getContext("2d");
  const pen = new SvgPen<HTMLCanvasElement>({
    measure: (text, font) => {
      if (ruler !== null) {
        ruler.font = font;
      }
      return ruler?.measureText(text).width ?? 0;
    },
    pixels: (image) => image.getContext("2d")?.getImageData(0, 0, image.width, image.height) ?? new ImageData(1, 1),
    url: (image) => image.toDataURL("image/png"),
  });
  drawSheet(pen, sheet);
  return pen.document(...sizeOf(sheet));
}

function sizeOf({ matrices, columns, width, height, ratio }: Sheet): [number, number] {
  const rows = Math.ceil(matrices.length / columns);
  const across = columns * width + (columns + 1) * MARGIN * ratio;
  const down = rows * (height + HEADING * ratio) + (2 * MARGIN + TITLE + LEGEND) * ratio;
  return [Math.ceil(Math.max(across, (LEGEND_WIDTH + 3 * MARGIN) * ratio)), Math.ceil(down)];
}

/** Everything that is to be drawn, once all of it was read. */
async function sheetOf(
  looking: AttentionState,
  sources: readonly Source[],
  columns: number,
  ratio: number,
): Promise<Sheet> {
  const positions = looking.trace()?.positions ?? 1;
  const side = Math.max(positions / ratio, Math.min(SIDE.most, Math.max(SIDE.least, positions * SIDE.cell)));
  const context = document.createElement("canvas").getContext("2d");
  const { theme } = looking.page.store.state;
  const labels = context === null ? { left: 60, top: 60 } : gutters(context, looking.labels(), theme, true);
  const right = Math.round(labels.top * 0.6);
  const room = { ...labels, width: labels.left + side + right, height: labels.top + side, right };
  const framing = {
    fitting: fittingOf(room, positions, ratio, null),
    ratio,
    slanted: true,
    scrollX: 0,
    scrollY: 0,
  };
  const matrices = [];
  for (const source of sources) {
    matrices.push({ name: sourceName(source), drawn: await wholeScene(looking, source, framing), framing });
  }
  return { looking, matrices, columns, ratio, width: room.width * ratio, height: room.height * ratio };
}

function wholeScene(looking: AttentionState, source: Source, framing: Framing): Promise<Drawn> {
  const store = createStore(emptyPanel());
  const data = panelData(looking.page.reads, looking.read, store, () => null);
  const raster = new Raster();
  const palettes = new Palettes();
  const trace = looking.trace();
  data.show(trace?.positions ?? 0, source, looking.store.state.look);
  return new Promise((resolve, reject) => {
    const look = (): void => {
      const { failure } = store.state;
      const drawn =
        looking.trace() === trace ? sceneOf(looking, source, data, store.state, raster, palettes, framing) : null;
      if (drawn === null || failure !== null) {
        reject(new Error(failure ?? "Another trace is shown by now."));
      } else if (drawn.complete) {
        resolve(drawn);
      }
    };
    store.subscribe(look);
    look();
  });
}

function drawSheet(pen: Pen, sheet: Sheet): void {
  const { looking, matrices, columns, ratio, width, height } = sheet;
  const { theme } = looking.page.store.state;
  const [across, down] = sizeOf(sheet);
  pen.fillStyle = css(theme.surface);
  pen.fillRect(0, 0, across, down);
  drawTitle(pen, sheet);
  matrices.forEach(({ name, drawn }, index) => {
    const x = MARGIN * ratio + (index % columns) * (width + MARGIN * ratio);
    const y = (MARGIN + TITLE) * ratio + Math.floor(index / columns) * (height + HEADING * ratio);
    pen.save();
    pen.translate(Math.round(x), Math.round(y));
    write(pen, drawn, name, 13, 0, 12, theme.foreground, true);
    pen.translate(0, HEADING * ratio);
    drawScene(pen, drawn.scene);
    pen.restore();
  });
  drawLegend(pen, sheet, down - (MARGIN + LEGEND / 2) * ratio);
}

/** The prompt and what it became. */
function drawTitle(pen: Pen, { looking, matrices, ratio }: Sheet): void {
  const trace = looking.trace();
  const [first] = matrices;
  if (trace !== null && first !== undefined) {
    const line = `${trace.summary.prompt} → ${trace.summary.response}`.replace(/\s+/g, " ").trim();
    pen.save();
    pen.translate(MARGIN * ratio, MARGIN * ratio);
    write(pen, first.drawn, clipped(line, PROMPT_LENGTH), 12, 0, 6, looking.page.store.state.theme.muted);
    pen.restore();
  }
}

function drawLegend(pen: Pen, { looking, matrices, ratio }: Sheet, y: number): void {
  const { map, theme } = looking.page.store.state;
  const scale = scaleOf(looking.store.state);
  const [first] = matrices;
  if (first === undefined) {
    return;
  }
  const steps = 64;
  pen.save();
  pen.translate(MARGIN * ratio, Math.round(y));
  const wide = Math.round((LEGEND_WIDTH * ratio) / steps);
  for (let step = 0; step < steps; step++) {
    pen.fillStyle = css(colourAt(map, shareOf((step / (steps - 1)) * scale.top, scale)));
    pen.fillRect(step * wide, 0, wide, Math.round(8 * ratio));
  }
  pen.strokeStyle = theme.border;
  pen.lineWidth = ratio;
  pen.strokeRect(0, 0, steps * wide, Math.round(8 * ratio));
  const { look } = looking.store.state;
  const most = `${threeDigits(scale.top)}${scale.name === "fitted" ? "+" : ""}`;
  const what = ["attention weight", lookWords(look), scale.name === "log" ? "logarithmic" : ""].filter(Boolean);
  write(pen, first.drawn, "0", 11, 0, 20, theme.muted);
  pen.translate(steps * wide, 0);
  write(pen, first.drawn, `${most}  ${what.join(", ")}`, 11, 8, 5, theme.muted);
  pen.restore();
}

/** Text at CSS pixels from here. */
function write(
  pen: Pen,
  { scene }: Drawn,
  text: string,
  size: number,
  x: number,
  y: number,
  colour: string,
  bold = false,
): void {
  setFont(pen, scene, size, bold);
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  pen.fillStyle = colour;
  pen.fillText(text, x * scene.pixelRatio, y * scene.pixelRatio);
}
