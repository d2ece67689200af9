// What is told of a token under the mouse or the keyboard's focus: its surprisal, and what else was likely.

import type { TokenRow } from "../../src/protocol";
import type { TraceData } from "../../src/shared/messages";
import type { ColourMap } from "../common/colour_map";
import { element, setAttributes } from "../common/dom";
import { threeDigits } from "../common/number_text";
import type { Page } from "../common/page";
import type { Statistic } from "../common/statistics";
import { clipped, tokenLabel } from "../common/token_text";
import { alternativesPart } from "./alternatives";
import { forkPart } from "./fork";
import { surprisalWords } from "./surprisal";

type By = "mouse" | "keyboard";

export interface TokenTip {
  element: HTMLElement;
  show: (content: readonly Node[], at: HTMLElement, by: By) => void;
  /** The mouse or the focus went; the mouse may go on to the tip itself. */
  leave: (by: By) => void;
  close: () => void;
}

const ID = "token-tip";
const GRACE = 120; // milliseconds to move the mouse from the token to the tip
const GAP = 6;
const LONGEST = 400; // of a token's whole text
const SAID = ["surprisal_per_token", "sampled_probability"];

export function tokenTip(): TokenTip {
  const tip = element("div", { class: "tip", id: ID, role: "tooltip", hidden: true });
  let anchor: HTMLElement | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let shownBy: By = "mouse";

  function close(): void {
    clearTimeout(timer);
    anchor?.removeAttribute("aria-describedby");
    anchor = null;
    tip.hidden = true;
  }

  function closeSoon(): void {
    clearTimeout(timer);
    timer = setTimeout(close, GRACE);
  }

  /** The focus goes back to the token. */
  function dismiss(): void {
    if (tip.contains(document.activeElement)) {
      anchor?.focus();
    }
    close();
  }

  new ResizeObserver(() => {
    if (anchor !== null) {
      place(tip, anchor);
    }
  }).observe(tip);
  tip.addEventListener("pointerenter", () => {
    clearTimeout(timer);
  });
  tip.addEventListener("pointerleave", () => {
    if (!tip.contains(document.activeElement)) {
      closeSoon();
    }
  });
  tip.addEventListener("focusin", () => {
    clearTimeout(timer);
  });
  tip.addEventListener("focusout", () => {
    if (!tip.matches(":hover")) {
      closeSoon();
    }
  });
  tip.addEventListener("click", ({ target }) => {
    if (target instanceof Element && target.closest("button.fork") !== null) {
      dismiss();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !tip.hidden) {
      dismiss();
      event.stopPropagation();
    } else if (event.key === "m" && !tip.hidden && !isTyping(event)) {
      tip.querySelector<HTMLButtonElement>("button.more")?.click();
    }
  });
  document.addEventListener(
    "scroll",
    () => {
      if (anchor !== null) {
        place(tip, anchor);
      }
    },
    { passive: true, capture: true },
  );

  return {
    element: tip,
    close,
    leave: (by) => {
      if (by === shownBy) {
        closeSoon();
      }
    },
    show: (content, at, by) => {
      clearTimeout(timer);
      anchor?.removeAttribute("aria-describedby");
      anchor = at;
      shownBy = by;
      tip.replaceChildren(...content);
      setAttributes(at, { "aria-describedby": ID });
      tip.hidden = false;
      place(tip, at);
    },
  };
}

function isTyping({ target, ctrlKey, metaKey, altKey }: KeyboardEvent): boolean {
  return ctrlKey || metaKey || altKey || (target instanceof Element && target.matches("input[type=text]"));
}

/** Which token it is. */
export function tokenHead(token: TokenRow): HTMLElement {
  return element(
    "div",
    { class: "tip-head" },
    element("strong", { class: "mono" }, clipped(tokenLabel(token), LONGEST)),
    element("span", { class: "muted" }, `position ${token.position}, id ${token.id}`),
  );
}

export function surprisalParts(
  page: Page,
  trace: TraceData,
  token: TokenRow,
  metrics: readonly Statistic[],
  map: ColourMap,
): HTMLElement[] {
  const parts = [tokenHead(token), element("p", {}, surprisalWords(token)), ...numbersOf(token, metrics)];
  const alternatives = token.top.length === 0 ? [] : [alternativesPart(page, trace, token, map)];
  return [...parts, ...alternatives, forkPart(page, trace, token)];
}

/** What is known of it besides what the line above says. */
function numbersOf({ numbers }: TokenRow, metrics: readonly Statistic[]): HTMLElement[] {
  const known = metrics.filter(({ name }) => !SAID.includes(name) && numbers?.[name] != null);
  const words = known.map(({ name, label, unit, meaning }) =>
    element("span", { title: meaning }, `${label} ${threeDigits(numbers?.[name])}${unit ? ` ${unit}` : ""}`),
  );
  return words.length === 0 ? [] : [element("p", { class: "tip-numbers" }, ...words)];
}

/** Below the token, or above where there is no room, inside the page. */
function place(tip: HTMLElement, at: HTMLElement): void {
  const [line] = at.getClientRects();
  const box = line ?? at.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = tip;
  const left = Math.max(8, Math.min(box.left, document.documentElement.clientWidth - width - 8));
  const below = box.bottom + GAP;
  const fits = below + height <= window.innerHeight || box.top < height + GAP;
  tip.style.left = `${left}px`;
  tip.style.top = `${fits ? below : box.top - GAP - height}px`;
}
