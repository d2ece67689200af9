// x, and the context menu of a head or an MLP: they switch it off, and on again.

import { element } from "../common/dom";
import type { Page } from "../common/page";
import { TYPED } from "../heads/head_keys";
import type { HeadPlace } from "../heads/trace_heads";
import { editName, editNamed, type Edit } from "./edits";

/** `chosen`: the head that x is about where the focus is on none. */
export function onEditInput(page: Page, root: HTMLElement, chosen: () => HeadPlace | null): void {
  const { store, toggle } = page.edits;
  const menu = element("div", { class: "menu edit-menu", role: "menu", "aria-label": "Switch off", hidden: true });
  const entry = element("button", { type: "button", role: "menuitem" });
  menu.append(entry);
  root.append(menu);
  let meant: Edit | null = null;
  let from: HTMLElement | null = null;

  function close(): void {
    menu.hidden = true;
    meant = null;
  }

  document.addEventListener("keydown", (event) => {
    const { target, key } = event;
    const typing = target instanceof Element && target.matches(TYPED);
    if (key === "Escape" && !menu.hidden) {
      event.stopPropagation();
      close();
      from?.focus();
    } else if (key === "x" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const edit = editAt(target) ?? chosen();
      if (edit !== null) {
        event.preventDefault();
        toggle(edit);
      }
    }
  });
  root.addEventListener("contextmenu", (event) => {
    const edit = editAt(event.target);
    if (edit === null) {
      return;
    }
    event.preventDefault();
    meant = edit;
    from = (event.target as Element).closest<HTMLElement>("[tabindex]");
    const isOff = store.state.edits.some((one) => editName(one) === editName(edit));
    entry.textContent = `Switch ${isOff ? "on" : "off"} ${editName(edit)} (x)`;
    menu.hidden = false;
    const { right, bottom } = (event.target as Element).getBoundingClientRect();
    const byMouse = event.clientX > 0 || event.clientY > 0;
    const [x, y] = byMouse ? [event.clientX, event.clientY] : [right, bottom];
    menu.style.left = `${Math.max(0, Math.min(x, window.innerWidth - menu.offsetWidth))}px`;
    menu.style.top = `${Math.max(0, Math.min(y, window.innerHeight - menu.offsetHeight))}px`;
    entry.focus();
  });
  entry.addEventListener("click", () => {
    if (meant !== null) {
      toggle(meant);
    }
    close();
    from?.focus();
  });
  menu.addEventListener("focusout", close);
}

function editAt(target: EventTarget | null): Edit | null {
  return target instanceof Element ? editNamed(target.closest<HTMLElement>("[data-edit]")?.dataset.edit) : null;
}
