// What the extension host and its webviews say to each other; both sides import it.

import type { Analysis, Intervention, Methods, Metric, TokenRow, TraceSummary } from "../protocol";

/** What all views look at. `token`: the position whose row is lit; `step`: null for the whole sequence. */
export interface Selection {
  traceId: string | null;
  layer: number;
  head: number;
  token: number | null;
  step: number | null;
}

/**
 * A trace without its tensors. `layers`: those whose attention was captured, from the first on; `heads`: of a layer;
 * `positions`: rows of a head.
 */
export interface TraceData {
  summary: TraceSummary;
  tokens: TokenRow[];
  analysis: Analysis;
  /** What the numbers of heads, layers and tokens are, by their keys. */
  metrics: Record<string, Metric>;
  layers: readonly number[];
  heads: number;
  positions: number;
}

/** Given a trace's data, by the host: captures its prompt again, with attention. */
export const CAPTURE_AGAIN = "nanoscope.captureAgain";

/** Given what runs a trace once more and the interventions: makes its child, and compares the two. */
export const SWITCH_OFF = "nanoscope.switchOff";

/** Given what a trace is forked in, the position and the token to put there: makes its child, and compares the two. */
export const FORK = "nanoscope.forkHere";

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

/** The tabs of a trace's page. */
export const PAGE_PARTS = ["attention", "layers", "lens", "attribution"] as const;
export type PagePart = (typeof PAGE_PARTS)[number];

/** What a view may read of the trace that it shows; the host adds which that is. */
export type ReadMethod =
  "get_tensor" | "get_attention" | "get_head_thumbnails" | "get_alternatives" | "logit_lens" | "attribute_logits";
export type ReadParams<M extends ReadMethod> = Omit<Methods[M]["params"], "trace_id">;
export type ReadResult<M extends ReadMethod> = Methods[M]["result"];

/** A part of a trace that was read for the view before it asked. */
export interface GivenRead {
  params: ReadParams<"get_tensor">;
  result: ReadResult<"get_tensor">;
}

/** `change`: the number of the view's last change that is in it, 0 for none. */
interface Selected {
  selection: Selection;
  change: number;
}

export type ToView =
  | ({ type: "state"; state: ViewState; given: readonly GivenRead[] } & Selected)
  | ({ type: "selection" } & Selected)
  | { type: "read"; request: number; result: ReadResult<ReadMethod> }
  /** `name`: the problem's, by which a page knows what can be done. */
  | { type: "readFailed"; request: number; message: string; name?: string }
  | { type: "settings"; statistic: string; colourMap: string }
  /** Whether the page's trace is being run once more. */
  | { type: "running"; running: boolean }
  | { type: "showPart"; part: PagePart };

/** The host answers every read; one of an earlier trace fails. */
export type FromView =
  | { type: "ready" }
  /**
   * Changes are numbered from 1, so that a view knows an older echo from a newer one. `traceId`: the trace on the page,
   * whose token and step they are.
   */
  | { type: "select"; traceId: string | null; change: Partial<Selection>; number: number }
  | { [M in ReadMethod]: { type: "read"; request: number; method: M; params: ReadParams<M> } }[ReadMethod]
  | { type: "cancelRead"; request: number }
  /** A file for the user to keep, where the user says; `data`: text, or base64 of bytes. */
  | { type: "save"; name: string; encoding: "text" | "base64"; data: string }
  | { type: "copy"; text: string; what: string }
  /** `arguments`: default: the file that the view is about. */
  | { type: "command"; command: string; arguments?: readonly (string | number)[] }
  | { type: "setStatistic"; statistic: string }
  /** Runs the trace that is shown once more, with something changed on the way. */
  | { type: "switchOff"; interventions: Intervention[] }
  /**
   * Puts a token into the text of the trace that is shown, and goes on from there. `position`: null where none is chosen,
   * which the user is told; `token`: null for a text that the user types.
   */
  | { type: "fork"; position: number | null; token: number | null }
  /** The trace that is shown, with attention. */
  | { type: "captureAgain" };
