// What of a matrix does not move with the cursor: drawn once, then copied.

export class StillPicture {
  private readonly canvas = document.createElement("canvas");
  private drawn: readonly unknown[] = [];

  /** `stamps`: all that it depends on. */
  of(
    width: number,
    height: number,
    stamps: readonly unknown[],
    draw: (pen: CanvasRenderingContext2D) => void,
  ): HTMLCanvasElement {
    const now = [width, height, ...stamps];
    const context = this.canvas.getContext("2d");
    if (context !== null && (now.length !== this.drawn.length || now.some((value, i) => value !== this.drawn[i]))) {
      this.drawn = now;
      [this.canvas.width, this.canvas.height] = [width, height];
      draw(context);
    }
    return this.canvas;
  }
}
