// Where a trace is asked about: the stream at a position foretells the token at the next.

import type { Selection, TraceData } from "../../src/shared/messages";
import type { TokenRow } from "../../src/protocol";
import { spokenToken } from "../common/token_text";
import { promptLength } from "../heads/trace_heads";

/** The chosen token's; where none is, the prompt's last, which foretells the first that was written. */
export function askedPosition(trace: TraceData, selection: Selection): number {
  const last = trace.tokens.length - 1;
  return Math.max(0, Math.min(selection.token ?? promptLength(trace) - 1, last));
}

/** What was written after it; null after the last. */
export function writtenAfter(trace: TraceData, position: number): TokenRow | null {
  return trace.tokens[position + 1] ?? null;
}

/** “ is” 5 */
export function positionWords(trace: TraceData, position: number): string {
  const token = trace.tokens[position];
  return token === undefined ? String(position) : `${spokenToken(token)} ${position}`;
}
