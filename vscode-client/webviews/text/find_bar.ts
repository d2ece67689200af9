// The bar that finds tokens by their text or their position, and walks from one to the next.

import type { TokenRow } from "../../src/protocol";
import { element, iconButton } from "../common/dom";
import type { Page } from "../common/page";
import { TYPED } from "../heads/head_keys";
import type { TokenList } from "../common/token_list";
import { findAll, firstMatch, textIndex, type Match, type TextIndex } from "./find";

export const FIND_ICON =
  "M6.5 1.5a5 5 0 0 1 3.96 8.05l3.9 3.9-1.06 1.05-3.9-3.9A5 5 0 1 1 6.5 1.5zm0 1.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7z";
const UP = "M8 4.2 13.3 9.5l-1.1 1.1L8 6.4l-4.2 4.2-1.1-1.1z";
const DOWN = "M8 11.8 2.7 6.5l1.1-1.1L8 9.6l4.2-4.2 1.1 1.1z";
const CLOSE = "M3.5 2.5 8 7l4.5-4.5 1 1L9 8l4.5 4.5-1 1L8 9l-4.5 4.5-1-1L7 8 2.5 3.5z";
const LONGEST_QUERY = 1000;

export interface FindActions {
  page: Page;
  /** Where the search begins. */
  current: () => number;
  /** Brings a found token into view, and chooses it. */
  show: (position: number) => void;
}

export interface FindBar {
  element: HTMLElement;
  open: () => void;
  /** Another text. */
  fill: (tokens: readonly TokenRow[]) => void;
}

export function findBar(list: TokenList, { page, current, show }: FindActions): FindBar {
  const input = element("input", {
    type: "text",
    "aria-label": "Find text, or go to a position",
    placeholder: "Text or #position",
    spellcheck: "false",
    autocomplete: "off",
    maxlength: LONGEST_QUERY,
  });
  const count = element("span", { class: "find-count" });
  const bar = element(
    "div",
    { class: "find-bar", role: "search", "aria-label": "Find in the text", hidden: true },
    input,
    count,
    iconButton("Previous match (Shift+Enter)", UP, () => {
      step(-1);
    }),
    iconButton("Next match (Enter)", DOWN, () => {
      step(1);
    }),
    iconButton("Close (Escape)", CLOSE, close),
  );
  let index: TextIndex | null = null;
  let tokens: readonly TokenRow[] = [];
  let matches: Match[] = [];
  let at = 0;
  let before: HTMLElement | SVGElement | null = null;
  let marked: HTMLElement[] = [];

  function search(): void {
    index ??= textIndex(tokens);
    matches = findAll(input.value, index);
    at = firstMatch(matches, input.value, tokens.length, current());
    mark();
    tell();
  }

  function tell(): void {
    const none = matches.length === 0;
    count.textContent = input.value === "" ? "" : none ? "No match" : `${at + 1} of ${matches.length}`;
    bar.classList.toggle("no-match", none && input.value !== "");
    page.announce(count.textContent);
    const match = matches[at];
    if (match !== undefined) {
      show(match.first);
    }
  }

  function spansOf({ first, last }: Match): HTMLElement[] {
    return list.spans.slice(first, last + 1);
  }

  function mark(): void {
    marked.forEach((span) => {
      span.classList.remove("found", "found-current");
    });
    marked = matches.flatMap(spansOf);
    marked.forEach((span) => {
      span.classList.add("found");
    });
    markCurrent(true);
  }

  function markCurrent(on: boolean): void {
    const match = matches[at];
    if (match !== undefined) {
      spansOf(match).forEach((span) => span.classList.toggle("found-current", on));
    }
  }

  function step(by: number): void {
    if (matches.length > 0) {
      markCurrent(false);
      at = (at + by + matches.length) % matches.length;
      markCurrent(true);
      tell();
    }
  }

  function open(): void {
    const { activeElement } = document;
    if (bar.hidden || !bar.contains(activeElement)) {
      const focusable = activeElement instanceof HTMLElement || activeElement instanceof SVGElement;
      before = focusable && activeElement !== document.body ? activeElement : null;
    }
    bar.hidden = false;
    input.focus();
    input.select();
    if (input.value !== "") {
      search();
    }
  }

  function close(): void {
    bar.hidden = true;
    matches = [];
    mark();
    const target = before?.isConnected === true ? before : list.element.querySelector<HTMLElement>('[tabindex="0"]');
    target?.focus({ preventScroll: true });
    before = null;
  }

  input.addEventListener("input", search);
  bar.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      close();
    } else if (event.key === "Enter" && event.target === input) {
      step(event.shiftKey ? -1 : 1);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  });
  document.addEventListener("keydown", (event) => {
    const shown = page.store.state.view.kind === "trace" && list.element.offsetParent !== null;
    if (shown && opensFind(event)) {
      event.preventDefault();
      open();
    }
  });

  return {
    element: bar,
    open,
    fill(filled) {
      index = null;
      tokens = filled;
      matches = [];
      marked = [];
      if (!bar.hidden && input.value !== "") {
        index = textIndex(tokens);
        matches = findAll(input.value, index);
        at = 0;
        mark();
        count.textContent = matches.length === 0 ? "No match" : `${at + 1} of ${matches.length}`;
      }
    },
  };
}

/** Ctrl+F or Cmd+F; a slash, where nobody types. */
function opensFind({ key, ctrlKey, metaKey, altKey, target }: KeyboardEvent): boolean {
  const mod = ctrlKey || metaKey;
  const typing = target instanceof Element && target.matches(TYPED);
  return !altKey && (mod ? key.toLowerCase() === "f" : key === "/" && !typing);
}
