// The text as a list of tokens to point at: one stop of the tab key, arrow keys from token to token.

import type { TokenRow } from "../../src/protocol";
import { element } from "./dom";
import { isSpecial, spokenToken, tokenText } from "./token_text";

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
}

const MOVES: Record<string, (from: number, count: number) => number> = {
  ArrowLeft: (from) => from - 1,
  ArrowRight: (from) => from + 1,
  ArrowUp: (from) => from - 10,
  ArrowDown: (from) => from + 10,
  Home: () => 0,
  End: (_, count) => count - 1,
};

export function tokenList(label: string, actions: TokenListActions): TokenList {
  const list = element("div", { class: "tokens sheet", role: "listbox", "aria-label": label });
  let spans: HTMLElement[] = [];
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

  list.addEventListener("pointerover", (event) => {
    actions.point(positionOf(event.target), "mouse");
  });
  list.addEventListener("pointerleave", () => {
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
      moveStop(move(stop, spans.length));
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
      const children: Node[] = [];
      tokens.forEach((token, position) => {
        children.push(spans[position] as Node);
        if (tokenText(token).breaks > 0) {
          children.push(document.createElement("br"));
        }
      });
      list.replaceChildren(...children);
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
  };
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
