// What the extension host and a comparing page say to each other; both sides import it.

import type { CompareTracesResult } from "../protocol";
import type { FromView, ToView, TraceData, ViewAction } from "./messages";

/** The two traces as they were opened; a page that is swapped shows `other` as A. */
export type SideName = "one" | "other";
export const SIDES: readonly SideName[] = ["one", "other"];

export interface TracePlace {
  folder: string;
  traceId: string;
}

/** What a page is about: the webview keeps it, and the window finds it there after a reload. */
export type Places = Record<SideName, TracePlace> & { swapped: boolean };

export type SideState =
  { kind: "loading" } | { kind: "failed"; message: string; action?: ViewAction } | { kind: "trace"; trace: TraceData };

/** What happened to a trace since the page has it. */
export type Change = "deleted" | "rewritten";

export type ToComparePage =
  | { type: "settings"; colourMap: string }
  | { type: "places"; places: Places }
  | { type: "side"; side: SideName; state: SideState }
  | { type: "changed"; side: SideName; change: Change }
  /** The daemon is another one: what failed may be asked again. */
  | { type: "back" }
  | { type: "answer"; side: SideName; answer: Extract<ToView, { type: "read" } | { type: "readFailed" }> }
  | { type: "compared"; layer: number | null; result: CompareTracesResult }
  | { type: "notCompared"; layer: number | null; message: string };

export type FromComparePage =
  | { type: "ready" }
  | { type: "ask"; side: SideName; ask: Extract<FromView, { type: "read" } | { type: "cancelRead" }> }
  /** `layer`: its heads; null: the tokens. */
  | { type: "compare"; layer: number | null }
  | { type: "swap"; swapped: boolean }
  /** Read both traces anew. */
  | { type: "again" }
  | { type: "choose"; side: SideName }
  | { type: "open"; side: SideName }
  | { type: "capture"; side: SideName }
  | { type: "copy"; text: string }
  | { type: "command"; command: string };

/** From what a webview kept. */
export function placesOf(value: unknown): Places | null {
  const kept = record(record(value)?.places);
  const [one, other] = [placeOf(kept?.one), placeOf(kept?.other)];
  return one === null || other === null ? null : { one, other, swapped: kept?.swapped === true };
}

function placeOf(value: unknown): TracePlace | null {
  const { folder, traceId } = record(value) ?? {};
  return typeof folder === "string" && typeof traceId === "string" ? { folder, traceId } : null;
}

function record(value: unknown): Record<string, unknown> | null {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : null;
}
