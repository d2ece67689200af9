// What a page needs to draw a trace's matrix in its first frame: the host reads it with the trace, and sends both at once.

import type { GivenRead, ReadParams, Selection, TraceData } from "./messages";
import { tilesOf, type Span } from "./tiles";

const MOST_POSITIONS = 1024; // a larger matrix is shown a tile at a time

/** Of the selected head, as it is drawn unless the page is set otherwise: then it asks for what it needs. */
export function firstReads(trace: TraceData, { layer, head }: Selection): GivenRead["params"][] {
  const { positions, layers } = trace;
  if (!layers.includes(layer) || positions > MOST_POSITIONS) {
    return [];
  }
  const all: Span = [0, positions];
  const place = { name: "attention_weights", layer, head };
  return [
    { ...place, ...rowPart(positions - 1) },
    ...tilesOf(all, all, positions, positions).map((tile) => ({ ...place, ...tilePart(tile, "float16") })),
  ];
}

type Part = Pick<ReadParams<"get_tensor">, "rows" | "columns" | "encoding" | "dtype">;

/** A row, exactly. */
export function rowPart(query: number): Part {
  return { rows: [query, query + 1], encoding: "base64", dtype: "float32" };
}

export function tilePart({ rows, columns }: { rows: Span; columns: Span }, dtype: "uint8" | "float16"): Part {
  return { rows: [...rows], columns: [...columns], encoding: "base64", dtype };
}
