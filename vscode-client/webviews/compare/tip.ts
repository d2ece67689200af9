// A small note beside what is pointed at, inside the page.

import { element } from "../common/dom";

const GAP = 6;
const EDGE = 8;

export interface Tip {
  element: HTMLElement;
  show: (at: HTMLElement, ...lines: (HTMLElement | string)[]) => void;
  hide: () => void;
}

/** Hidden by Escape too. */
export function createTip(id: string): Tip {
  const tip = element("div", { class: "compare-tip", id, role: "tooltip", hidden: true });
  let anchor: HTMLElement | null = null;

  function hide(): void {
    anchor?.removeAttribute("aria-describedby");
    anchor = null;
    tip.hidden = true;
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !tip.hidden) {
      hide();
      event.stopPropagation();
    }
  });
  document.addEventListener("scroll", hide, { passive: true, capture: true });
  return {
    element: tip,
    hide,
    show: (at, ...lines) => {
      anchor?.removeAttribute("aria-describedby");
      anchor = at;
      at.setAttribute("aria-describedby", id);
      tip.replaceChildren(...lines);
      tip.hidden = false;
      const box = at.getBoundingClientRect();
      const { offsetWidth: width, offsetHeight: height } = tip;
      const below = box.bottom + GAP;
      const fits = below + height <= window.innerHeight || box.top < height + GAP;
      tip.style.left = `${Math.max(EDGE, Math.min(box.left, document.documentElement.clientWidth - width - EDGE))}px`;
      tip.style.top = `${fits ? below : box.top - GAP - height}px`;
    },
  };
}
