// The text as a list of tokens to point at: one stop of the tab key, arrow keys from token to token.

import type { TokenRow } from "../../src/protocol";
import { element } from "./dom";
import { movedByLine, stopsOf } from "./token_lines";
import { isSpecial, spokenToken, tokenText } from "./token_text";
import { turnsOf, type Turn } from "./turns";

export interface TokenListActions {
  /** Under the mouse or focused; null: no longer. */
  point: (position: number | null, by: "mouse" | "keyboard") => void;
  choose: (position: number) => void;
}

export interface TokenList {
  element: HTMLElement;
  spans: readonly HTMLElement[];
  fill: (tokens: readonly TokenRow[]) => void;
  select: (position: number | null) => void;
  /** Scrolls the list, and nothing else, where the token is out of view. */
  reveal: (position: number) => void;
}

type Spans = readonly HTMLElement[];

const MOVES: Record<string, (from: number, spans: Spans, turns: readonly Turn[]) => number> = {
  ArrowLeft: (from) => from - 1,
  ArrowRight: (from) => from + 1,
  ArrowUp: (from, spans) => movedByLine(from, spans, -1),
  ArrowDown: (from, spans) => movedByLine(from, spans, 1),
  PageUp: (from, _, turns) => stopsOf(turns).findLast((stop) => stop < from) ?? 0,
  PageDown: (from, spans, turns) => stopsOf(turns).find((stop) => stop > from) ?? spans.length - 1,
  Home: () => 0,
  End: (_, spans) => spans.length - 1,
};
/** Further away, a list is shown there at once. */
const SMOOTH_SCREENS = 2;

export function tokenList(label: string, actions: TokenListActions): TokenList {
  const list = element("div", { class: "tokens sheet", role: "listbox", "aria-label": label });
  let spans: HTMLElement[] = [];
  let turns: Turn[] = [];
  let stop = 0;
  let selected: number | null = null;

  function moveStop(position: number): void {
    spans[stop]?.setAttribute("tabindex", "-1");
    stop = Math.max(0, Math.min(spans.length - 1, position));
    spans[stop]?.setAttribute("tabindex", "0");
  }

  function positionOf(target: EventTarget | null): number | null {
    const span = target instanceof Element ? target.closest<HTMLElement>(".token") : null;
    return span === null ? null : Number(span.dataset.position);
  }

  let mouse: readonly [number, number] | null = null; // a text that scrolls under a mouse at rest is not pointed at
  list.addEventListener("pointermove", ({ clientX, clientY }) => {
    mouse = [clientX, clientY];
  });
  list.addEventListener("pointerover", ({ clientX, clientY, target }) => {
    if (mouse?.[0] !== clientX || mouse[1] !== clientY) {
      actions.point(positionOf(target), "mouse");
    }
  });
  list.addEventListener("pointerleave", () => {
    mouse = null;
    actions.point(null, "mouse");
  });
  list.addEventListener("click", (event) => {
    const position = positionOf(event.target);
    if (position !== null) {
      moveStop(position);
      actions.choose(position);
    }
  });
  list.addEventListener("focusin", (event) => {
    const position = positionOf(event.target);
    if (position !== null && (event.target as Element).matches(":focus-visible")) {
      moveStop(position);
      actions.point(position, "keyboard");
    }
  });
  list.addEventListener("focusout", () => {
    actions.point(null, "keyboard");
  });
  list.addEventListener("keydown", (event) => {
    const move = MOVES[event.key];
    if (move !== undefined) {
      event.preventDefault();
      moveStop(move(stop, spans, turns));
      spans[stop]?.focus();
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      actions.choose(stop);
    }
  });

  return {
    element: list,
    get spans() {
      return spans;
    },
    fill(tokens) {
      const firstGenerated = tokens.findIndex((token) => token.generated);
      spans = tokens.map((token, position) => tokenSpan(token, position, position === firstGenerated));
      turns = turnsOf(tokens);
      list.replaceChildren(...turns.map((turn) => turnBlock(turn, tokens, spans)));
      selected = null;
      moveStop(0);
    },
    select(position) {
      if (selected !== null) {
        mark(spans[selected], false);
      }
      selected = position;
      if (position !== null) {
        mark(spans[position], true);
        if (!list.contains(document.activeElement)) {
          moveStop(position);
        }
      }
    },
    reveal(position) {
      const span = spans[position];
      if (span !== undefined) {
        scrollInto(list, span);
      }
    },
  };
}

function scrollInto(list: HTMLElement, span: HTMLElement): void {
  const [window, box] = [list.getBoundingClientRect(), span.getBoundingClientRect()];
  if (box.top >= window.top && box.bottom <= window.bottom) {
    return;
  }
  const by = (box.top + box.bottom - window.top - window.bottom) / 2;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const far = Math.abs(by) > SMOOTH_SCREENS * window.height;
  list.scrollBy({ top: by, behavior: calm || far ? "instant" : "smooth" });
}

/** One speaker's tokens below his name; those of nobody without one. */
function turnBlock(turn: Turn, tokens: readonly TokenRow[], spans: readonly HTMLElement[]): HTMLElement {
  const { role, continued } = turn;
  const block = element("div", { class: "turn" });
  if (role === null) {
    block.setAttribute("role", "presentation");
  } else {
    const name = continued ? `${role}, continued` : role;
    block.setAttribute("role", "group");
    block.setAttribute("aria-label", name);
    block.classList.add(role.toLowerCase());
    block.classList.toggle("inner", turn.inner);
    block.append(element("div", { class: "turn-role", "aria-hidden": "true" }, name));
  }
  const words = tokens.slice(turn.start, turn.stop);
  block.classList.toggle(
    "only-special",
    words.every(({ text }) => isSpecial(text)),
  );
  words.forEach((token, index) => {
    block.append(spans[turn.start + index] ?? "");
    if (tokenText(token).ends) {
      block.append(document.createElement("br"));
    }
  });
  return block;
}

function mark(span: HTMLElement | undefined, selected: boolean): void {
  span?.classList.toggle("selected", selected);
  span?.setAttribute("aria-selected", String(selected));
}

function tokenSpan(token: TokenRow, position: number, firstGenerated: boolean): HTMLElement {
  const span = element(
    "span",
    { class: "token", role: "option", tabindex: -1, "aria-selected": "false", "data-position": position },
    tokenText(token).text,
  );
  span.setAttribute("aria-label", `${spokenToken(token)}, ${position}`);
  span.classList.toggle("seam", (token.piece?.index ?? 0) > 0);
  span.classList.toggle("special", isSpecial(token.text));
  span.classList.toggle("generated", token.generated);
  span.classList.toggle("forced", token.forced);
  span.classList.toggle("first-generated", firstGenerated);
  return span;
}
