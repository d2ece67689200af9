// Surprisal in bits: its place on the colours, in words, summed up.

import type { TokenRow } from "../../src/protocol";
import { counted, percent, threeDigits } from "../common/number_text";
import { spokenToken } from "../common/token_text";

/** Bits at which the colours end: a token with one chance in 4,096. */
export const MOST_BITS = 12;
export const TICKS = [0, 4, 8, 12] as const;
/** Where on the colour map that is: its far end is too harsh behind text. */
const MAP_END = 0.72;

export function surprisalShare(bits: number): number {
  return mapShare(bits / MOST_BITS);
}

/** 0 to 1 of the bits shown, as a place on the map. */
export function mapShare(share: number): number {
  return MAP_END * Math.min(1, Math.max(0, share));
}

export function probabilityOf(bits: number): number {
  return 2 ** -bits;
}

export function bitsText(bits: number | null): string {
  return bits === null ? "not captured" : `${bits < 0.001 ? "0" : threeDigits(bits)} bits`;
}

export interface SurprisalSummary {
  count: number;
  mean: number | null;
  most: TokenRow | null;
}

/** Of the tokens that the model wrote of its own accord. */
export function surprisalSummary(tokens: readonly TokenRow[]): SurprisalSummary {
  const known = tokens.filter((token) => token.generated && !token.forced && token.surprisal !== null);
  const total = known.reduce((sum, token) => sum + (token.surprisal ?? 0), 0);
  const most = known.reduce<TokenRow | null>(
    (best, token) => ((token.surprisal ?? 0) > (best?.surprisal ?? -1) ? token : best),
    null,
  );
  return {
    count: tokens.filter((token) => token.generated).length,
    mean: known.length === 0 ? null : total / known.length,
    most,
  };
}

/** Its surprisal, how likely it was, and who chose it. */
export function surprisalWords(token: TokenRow): string {
  if (token.surprisal === null && token.top.length > 0) {
    return "It is not among the candidates that were captured, so its surprisal is not known.";
  }
  if (token.surprisal === null) {
    return token.position === 0 ? "The first token; nothing predicts it." : "No logits were captured for it.";
  }
  const likely = `${bitsText(token.surprisal)}, probability ${percent(probabilityOf(token.surprisal))}`;
  return token.forced ? `${likely}; the calculator chose it` : likely;
}

/** Some token's surprisal is known. */
export function hasSurprisal({ tokens }: { tokens: readonly TokenRow[] }): boolean {
  return tokens.some((token) => token.surprisal !== null);
}

/** Of a whole text, in a line. */
export function surprisalWordsOf({ tokens }: { tokens: readonly TokenRow[] }): string {
  const { count, mean, most } = surprisalSummary(tokens);
  const parts = [`${counted(count, "token")} written`];
  if (mean !== null) {
    parts.push(`mean ${bitsText(mean)}`);
  } else if (!hasSurprisal({ tokens })) {
    parts.push("no logits were captured, which surprisal needs");
  }
  if (most !== null && (most.surprisal ?? 0) > 0.5) {
    parts.push(`most surprising ${spokenToken(most)} at ${most.position}, ${bitsText(most.surprisal)}`);
  }
  return parts.join(" · ");
}
