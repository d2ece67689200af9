// Writes as SVG what would be drawn on a canvas: text stays text, cells are rectangles until they are too many.

const MOST_CELLS = 20_000; // above, they are one picture inside

interface Style {
  fillStyle: string | object;
  strokeStyle: string | object;
  lineWidth: number;
  font: string;
  textAlign: "start" | "end" | "left" | "right" | "center";
  textBaseline: "top" | "hanging" | "middle" | "alphabetic" | "ideographic" | "bottom";
}

export interface Pixels {
  width: number;
  height: number;
  /** Four bytes a pixel. */
  data: Uint8ClampedArray;
}

/** What only a page can tell. */
export interface Looks<Image> {
  measure: (text: string, font: string) => number;
  pixels: (image: Image) => Pixels;
  /** As a data URL. */
  url: (image: Image) => string;
}

export class SvgPen<Image> implements Style {
  fillStyle: Style["fillStyle"] = "#000";
  strokeStyle: Style["strokeStyle"] = "#000";
  lineWidth = 1;
  font = "10px sans-serif";
  textAlign: Style["textAlign"] = "left";
  textBaseline: Style["textBaseline"] = "alphabetic";
  imageSmoothingEnabled = true;
  private readonly parts: string[] = [];
  private readonly stack: { style: Style; transform: string; groups: number }[] = [];
  private transform = "";
  private groups = 0;
  private clips = 0;
  private path: string[] = [];
  private dash: number[] = [];

  constructor(private readonly looks: Looks<Image>) {}

  document(width: number, height: number): string {
    const size = `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`;
    return `<svg xmlns="http://www.w3.org/2000/svg" ${size}>\n${this.parts.join("\n")}\n</svg>\n`;
  }

  save(): void {
    const { fillStyle, strokeStyle, lineWidth, font, textAlign, textBaseline } = this;
    const style = { fillStyle, strokeStyle, lineWidth, font, textAlign, textBaseline };
    this.stack.push({ style, transform: this.transform, groups: this.groups });
  }

  restore(): void {
    const before = this.stack.pop();
    if (before === undefined) {
      return;
    }
    for (; this.groups > before.groups; this.groups--) {
      this.parts.push("</g>");
    }
    this.transform = before.transform;
    Object.assign(this, before.style);
  }

  translate(x: number, y: number): void {
    this.transform += `translate(${short(x)} ${short(y)})`;
  }

  rotate(angle: number): void {
    this.transform += `rotate(${short((angle * 180) / Math.PI)})`;
  }

  beginPath(): void {
    this.path = [];
  }

  rect(x: number, y: number, width: number, height: number): void {
    this.path.push(`M${short(x)} ${short(y)}h${short(width)}v${short(height)}h${short(-width)}z`);
  }

  moveTo(x: number, y: number): void {
    this.path.push(`M${short(x)} ${short(y)}`);
  }

  lineTo(x: number, y: number): void {
    this.path.push(`L${short(x)} ${short(y)}`);
  }

  clip(): void {
    const id = `clip${++this.clips}`;
    this.parts.push(`<clipPath id="${id}"><path d="${this.path.join("")}"${this.placed()}/></clipPath>`);
    this.parts.push(`<g clip-path="url(#${id})">`);
    this.groups++;
  }

  stroke(): void {
    this.parts.push(`<path d="${this.path.join("")}" fill="none"${this.stroked()}${this.placed()}/>`);
  }

  strokeRect(x: number, y: number, width: number, height: number): void {
    this.parts.push(`<rect ${box(x, y, width, height)} fill="none"${this.stroked()}${this.placed()}/>`);
  }

  fillRect(x: number, y: number, width: number, height: number): void {
    if (width > 0 && height > 0) {
      this.parts.push(`<rect ${box(x, y, width, height)} fill="${paintOf(this.fillStyle)}"${this.placed()}/>`);
    }
  }

  setLineDash(dash: number[]): void {
    this.dash = dash;
  }

  fillText(text: string, x: number, y: number): void {
    const anchor = { right: "end", end: "end", center: "middle", left: "start", start: "start" }[this.textAlign];
    const baseline = this.textBaseline === "middle" ? ' dominant-baseline="central"' : "";
    const style = `style="font:${escaped(this.font)};white-space:pre" fill="${paintOf(this.fillStyle)}"`;
    const place = `x="${short(x)}" y="${short(y)}" text-anchor="${anchor}"${baseline}`;
    this.parts.push(`<text ${place} ${style}${this.placed()}>${escaped(text)}</text>`);
  }

  measureText(text: string): { width: number } {
    return { width: this.looks.measure(text, this.font) };
  }

  drawImage(image: Image, x: number, y: number, width: number, height: number): void {
    const pixels = this.looks.pixels(image);
    if (pixels.width * pixels.height > MOST_CELLS) {
      const place = `${box(x, y, width, height)} preserveAspectRatio="none" style="image-rendering:pixelated"`;
      this.parts.push(`<image ${place} href="${this.looks.url(image)}"${this.placed()}/>`);
      return;
    }
    const scale = `translate(${short(x)} ${short(y)}) scale(${width / pixels.width} ${height / pixels.height})`;
    this.parts.push(`<g transform="${this.transform}${scale}" shape-rendering="crispEdges">`);
    this.parts.push(...runsOf(pixels), "</g>");
  }

  private stroked(): string {
    const dash = this.dash.length === 0 ? "" : ` stroke-dasharray="${this.dash.join(" ")}"`;
    return ` stroke="${paintOf(this.strokeStyle)}" stroke-width="${short(this.lineWidth)}"${dash}`;
  }

  private placed(): string {
    return this.transform === "" ? "" : ` transform="${this.transform}"`;
  }
}

/** A rectangle for each run of equal pixels in a row; none for those that are see-through. */
function runsOf({ width, height, data }: Pixels): string[] {
  const colours = new Uint32Array(data.buffer, data.byteOffset, width * height);
  const runs: string[] = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width;) {
      const start = x;
      const place = y * width + start;
      while (x < width && colours[y * width + x] === colours[place]) {
        x++;
      }
      const [red = 0, green = 0, blue = 0, alpha = 0] = data.subarray(4 * place, 4 * place + 4);
      if (alpha > 0) {
        const fill = `#${[red, green, blue].map((part) => part.toString(16).padStart(2, "0")).join("")}`;
        runs.push(`<rect x="${start}" y="${y}" width="${x - start}" height="1" fill="${fill}"/>`);
      }
    }
  }
  return runs;
}

function box(x: number, y: number, width: number, height: number): string {
  return `x="${short(x)}" y="${short(y)}" width="${short(width)}" height="${short(height)}"`;
}

function short(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** Colours alone: nothing here is drawn with gradients. */
function paintOf(style: Style["fillStyle"]): string {
  return typeof style === "string" ? escaped(style) : "none";
}

function escaped(text: string): string {
  const names: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replace(/[&<>"]/g, (character) => names[character] ?? "");
}
