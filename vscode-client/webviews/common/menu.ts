// A button that opens a menu of things to do: arrow keys, Enter and Escape, as menus have it.

import { element, icon } from "./dom";

export interface MenuItem {
  label: string;
  run: () => void;
  enabled?: () => boolean;
}

export function menuButton(label: string, path: string, items: readonly MenuItem[]): HTMLElement {
  const button = element(
    "button",
    {
      type: "button",
      class: "icon-button",
      title: label,
      "aria-label": label,
      "aria-haspopup": "menu",
      "aria-expanded": "false",
    },
    icon(path),
  );
  const entries = items.map((item) => {
    const entry = element("button", { type: "button", role: "menuitem", tabindex: -1 }, item.label);
    entry.addEventListener("click", () => {
      close();
      item.run();
    });
    return entry;
  });
  const menu = element("div", { class: "menu", role: "menu", "aria-label": label, hidden: true }, ...entries);
  const whole = element("div", { class: "menu-place" }, button, menu);

  function open(): void {
    items.forEach(({ enabled }, index) => {
      const entry = entries[index];
      if (entry !== undefined) {
        entry.disabled = enabled?.() === false;
      }
    });
    menu.hidden = false;
    button.setAttribute("aria-expanded", "true");
    move(0, 1);
  }

  function close(): void {
    const had = menu.contains(document.activeElement);
    menu.hidden = true;
    button.setAttribute("aria-expanded", "false");
    if (had) {
      button.focus();
    }
  }

  /** To the first entry from there on that can be chosen. */
  function move(from: number, step: number): void {
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[(from + i * step + 2 * entries.length) % entries.length];
      if (entry?.disabled === false) {
        entry.focus();
        return;
      }
    }
  }

  button.addEventListener("click", () => {
    if (menu.hidden) {
      open();
    } else {
      close();
    }
  });
  menu.addEventListener("keydown", (event) => {
    const at = entries.indexOf(document.activeElement as HTMLButtonElement);
    const moves: Record<string, () => void> = {
      ArrowDown: () => {
        move(at + 1, 1);
      },
      ArrowUp: () => {
        move(at - 1, -1);
      },
      Home: () => {
        move(0, 1);
      },
      End: () => {
        move(entries.length - 1, -1);
      },
      Escape: close,
      Tab: close,
    };
    const act = moves[event.key];
    if (act !== undefined) {
      event.preventDefault();
      event.stopPropagation();
      act();
    }
  });
  whole.addEventListener("focusout", (event) => {
    if (!whole.contains(event.relatedTarget as Node | null)) {
      menu.hidden = true;
      button.setAttribute("aria-expanded", "false");
    }
  });
  return whole;
}
