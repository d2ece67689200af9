// What a drawing is made with: a canvas' context, or what writes an SVG.

type Canvas = CanvasRenderingContext2D;

export interface Pen extends Pick<
  Canvas,
  | "save"
  | "restore"
  | "translate"
  | "rotate"
  | "beginPath"
  | "rect"
  | "moveTo"
  | "lineTo"
  | "stroke"
  | "strokeRect"
  | "fillRect"
  | "setLineDash"
  | "lineWidth"
  | "font"
  | "textAlign"
  | "textBaseline"
  | "imageSmoothingEnabled"
> {
  fillStyle: string | object;
  strokeStyle: string | object;
  clip: () => void;
  fillText: (text: string, x: number, y: number) => void;
  measureText: (text: string) => { width: number };
  drawImage: (image: HTMLCanvasElement, x: number, y: number, width: number, height: number) => void;
}
