// How many candidates of a position a trace keeps.

import type { TraceData } from "../../src/shared/messages";

/** Of a whole vocabulary, so many are shown. */
const MOST = 50;

/** As many as are shown. */
export function capturedCount({ summary, tokens }: Pick<TraceData, "summary" | "tokens">, position: number): number {
  const { tensors } = summary.data_info;
  const highest = tensors["output_logits.values"]?.shape?.[2];
  if (highest !== undefined) {
    return position === 0 ? 0 : Math.min(MOST, highest);
  }
  const [, rows = 0, vocabulary = 0] = tensors.output_logits?.shape ?? [];
  const generated = tokens.filter((token) => token.generated).length;
  const first = rows === generated ? tokens.length - generated : 1;
  return position < first ? 0 : Math.min(MOST, vocabulary);
}
