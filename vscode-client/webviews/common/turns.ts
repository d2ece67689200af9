// A chat's turns, out of its special tokens: who speaks from where to where.

import type { TokenRow } from "../../src/protocol";

export interface Turn {
  /** null: nobody's, such as a text that is no chat. */
  role: string | null;
  /** [start, stop), positions. */
  start: number;
  stop: number;
  /** It goes on after the calculator was asked. */
  continued: boolean;
  /** Inside of the assistant's turn. */
  inner: boolean;
}

/** By the token that begins it: whose turn it is, and the token that ends it. */
const ROLES: Record<string, { role: string; end: string; inner: boolean }> = {
  "<|user_start|>": { role: "User", end: "<|user_end|>", inner: false },
  "<|assistant_start|>": { role: "Assistant", end: "<|assistant_end|>", inner: false },
  "<|python_start|>": { role: "Python", end: "<|python_end|>", inner: true },
  "<|output_start|>": { role: "Output", end: "<|output_end|>", inner: true },
};

/** All positions, in order; the special tokens belong to the turn that they begin or end. */
export function turnsOf(tokens: readonly Pick<TokenRow, "text">[]): Turn[] {
  const turns: Turn[] = [];
  let outer: { role: string; end: string } | null = null;
  let open: Turn | null = null;
  let end: string | null = null;
  const begin = (turn: Omit<Turn, "stop">): void => {
    open = { ...turn, stop: turn.start };
    turns.push(open);
  };
  tokens.forEach(({ text }, position) => {
    const begun = ROLES[text];
    if (begun !== undefined) {
      begin({ role: begun.role, start: position, continued: false, inner: begun.inner && outer !== null });
      end = begun.end;
      outer = begun.inner ? outer : begun;
    } else if (open === null) {
      begin({ role: outer?.role ?? null, start: position, continued: outer !== null, inner: false });
      end = outer?.end ?? null;
    }
    if (open !== null) {
      open.stop = position + 1;
    }
    if (text === end) {
      open = null;
      outer = text === outer?.end ? null : outer;
    }
  });
  return turns;
}
