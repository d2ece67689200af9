// Where a trace can be forked, and in words why it cannot be elsewhere.

import type { TraceSummary } from "../protocol";

/** A trace that lacks one of them cannot be gone on with. */
const SETTINGS = ["temperature", "top_k", "seed", "max_tokens"];

/** Null where it can be. `position`: null where no token is chosen. */
export function noForkWords({ generation }: Pick<TraceSummary, "generation">, position: number | null): string | null {
  const lacking = SETTINGS.filter((name) => generation?.[name] === undefined);
  if (lacking.length > 0) {
    return `The trace does not tell its ${lacking.join(", ")}, without which nothing can go on from here: capture its prompt anew.`;
  }
  if (position === null) {
    return "Choose a token in the text first: the fork is there.";
  }
  return position === 0 ? "Every text begins with this token: fork at a later one." : null;
}
