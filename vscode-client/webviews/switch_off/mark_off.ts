// What is switched off, as it is marked where heads and MLPs are shown.

import { editName, type Edit } from "./edits";

/** Strikes through what is switched off: elements that say with `data-edit` which head or MLP they are. */
export function markOff(root: ParentNode, edits: readonly Edit[]): void {
  const names = new Set(edits.map(editName));
  root.querySelectorAll<HTMLElement>("[data-edit]").forEach((one) => {
    const isOff = names.has(one.dataset.edit ?? "");
    one.classList.toggle("off", isOff);
    if (isOff) {
      one.setAttribute("aria-description", "switched off");
    } else {
      one.removeAttribute("aria-description");
    }
  });
}
