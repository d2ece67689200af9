// A trace as the views have it, out of the daemon's document, and what of the shared selection there is in it.

import type { TraceDocument } from "./protocol";
import { fitted } from "./selection";
import type { Selection, TraceData } from "./shared/messages";

const ATTENTION = /^attention_weights\.layer_(\d+)$/;

/** `positions` are those with a row of attention, or all. */
export function traceData({ tokens, analysis, metrics, ...summary }: TraceDocument): TraceData {
  const { tensors, num_tokens } = summary.data_info;
  const shapes = Object.entries(tensors).flatMap(([name, { shape }]) => {
    const layer = ATTENTION.exec(name)?.[1];
    return layer === undefined ? [] : [{ layer: Number(layer), shape: shape ?? [] }];
  });
  return {
    summary,
    tokens,
    analysis,
    metrics,
    layers: shapes.map(({ layer }) => layer).sort((a, b) => a - b),
    heads: Math.max(0, ...shapes.map(({ shape }) => shape.at(-3) ?? 0)),
    positions: Math.max(0, ...shapes.map(({ shape }) => shape.at(-2) ?? 0)) || num_tokens,
  };
}

/** The shared selection as far as it fits this trace. */
export function selectionIn(trace: TraceData, selection: Selection): Selection {
  const { summary, layers, heads, tokens } = trace;
  const size = { layers, heads, positions: tokens.length, steps: summary.data_info.num_steps };
  return fitted({ ...selection, traceId: summary.trace_id }, size);
}
