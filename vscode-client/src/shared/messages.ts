// What the extension host and its webviews say to each other; both sides import it.

import type { Analysis, GetTensorParams, GetTensorResult, Metric, TokenRow, TraceSummary } from "../protocol";

/** What all views look at. `token`: the position whose row is lit; `step`: null for the whole sequence. */
export interface Selection {
  traceId: string | null;
  layer: number;
  head: number;
  token: number | null;
  step: number | null;
}

/**
 * A trace without its tensors. `layers`: one more than the highest whose attention was captured; `analysis` and
 * `summary` tell which were. `heads`: of a layer; `positions`: rows of a head.
 */
export interface TraceData {
  summary: TraceSummary;
  tokens: TokenRow[];
  analysis: Analysis;
  /** What the numbers of heads, layers and tokens are, by their keys. */
  metrics: Record<string, Metric>;
  layers: number;
  heads: number;
  positions: number;
}

/** One click that does what the message beside it says. */
export interface ViewAction {
  label: string;
  command: string;
}

export type ViewState =
  | { kind: "empty"; message: string; action?: ViewAction }
  | { kind: "loading"; title: string }
  | { kind: "failed"; message: string; action?: ViewAction }
  | { kind: "trace"; trace: TraceData };

export type ToView =
  | { type: "state"; state: ViewState }
  | { type: "selection"; selection: Selection }
  | { type: "tensor"; request: number; result: GetTensorResult }
  | { type: "tensorFailed"; request: number; message: string }
  | { type: "settings"; statistic: string; colourMap: string };

/** The host adds the trace to a tensor's params, and answers every request; one of an earlier trace fails. */
export type FromView =
  | { type: "ready" }
  | { type: "select"; change: Partial<Selection> }
  | { type: "tensor"; request: number; params: Omit<GetTensorParams, "trace_id"> }
  | { type: "cancelTensor"; request: number }
  | { type: "command"; command: string }
  | { type: "setStatistic"; statistic: string };
