// The points of the residual stream as the rows of the lens.

import type { PointName } from "../../src/protocol";

const NAMES = { embedding: "Embedding", output: "Output", attention: "attention", mlp: "MLP" } as const;

/** Embedding, L2 attention, L2 MLP, Output. */
export function pointLabel({ layer, at, backout }: PointName): string {
  const name = layer === null ? NAMES[at] : `L${layer} ${NAMES[at]}`;
  return backout === null ? name : `${name} ${backout ? "− backout" : "as it is"}`;
}

/** “after L2 MLP”, “at the output”. */
export function pointWords(point: PointName): string {
  return point.at === "output" ? "at the output" : `after ${pointLabel(point).replace("Embedding", "the embedding")}`;
}

/** The row that stands for a layer: after its MLP, which is the end of it. */
export function rowOfLayer(points: readonly PointName[], layer: number): number {
  const row = points.findLastIndex((point) => point.layer === layer && point.at === "mlp");
  return row === -1 ? Math.max(0, points.length - 1) : row;
}
