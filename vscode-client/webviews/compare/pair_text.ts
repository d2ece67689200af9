// The two texts, aligned: A's tokens above B's, and under each pair a bar, how much more surprised B is than A.

import { element } from "../common/dom";
import { threeDigits } from "../common/number_text";
import type { Comparing } from "./compare_state";
import { divergingGradient } from "../common/diverging_map";
import { sectionsOf, type Section } from "./folds";
import { barTop, endsLine, foldCell, paintBar, pairCell, pairNote } from "./pair_cells";
import { besideIn, lineAway } from "./stops";
import { createTip } from "./tip";
import { DIFFERENCE, MINUS } from "./words";

export function pairTextPart(comparing: Comparing): HTMLElement {
  const { store } = comparing;
  const list = element("div", {
    class: "pairs sheet",
    role: "listbox",
    "aria-label": "Tokens of both texts, A above B",
  });
  const tip = createTip("pair-tip");
  const ramp = element("div", { class: "ramp" });
  const [least, most] = [element("span"), element("span")];
  const name = element("span", { class: "muted" }, `Surprisal, ${DIFFERENCE}`);
  const legend = element("div", { class: "legend", "aria-hidden": "true" }, least, ramp, most);
  const scale = element("div", { class: "push bar pair-legend" }, name, legend);
  const opened = new Set<number>();
  let sections: Section[] = [];
  /** By place: its pair, or the marker of the fold that hides it. */
  let elements: HTMLElement[] = [];
  let stops: HTMLElement[] = [];
  let marked: HTMLElement[] = [];

  function fill(): void {
    const { shown } = store.state;
    if (shown === null) {
      return;
    }
    const { rows } = shown;
    const children: Node[] = [keyOfLines()];
    elements = [];
    stops = [];
    const add = (stop: HTMLElement): void => {
      stops.push(stop);
      children.push(stop);
    };
    for (const section of sections) {
      const folded = section.kind === "fold" && !opened.has(section.first);
      const marker = section.kind === "fold" ? foldCell(section, rows, !folded) : null;
      if (marker !== null) {
        add(marker);
      }
      for (let place = section.first; place < section.stop; place++) {
        const row = rows[place];
        if (folded && marker !== null) {
          elements[place] = marker;
        } else if (row !== undefined) {
          const cell = pairCell(row, place);
          elements[place] = cell;
          add(cell);
          if (endsLine(row)) {
            children.push(element("span", { class: "line-end", "aria-hidden": "true" }));
          }
        }
      }
    }
    list.replaceChildren(...children);
    setStop(elements[store.state.locked ?? 0] ?? stops[0]);
    paint();
    mark();
  }

  function paint(): void {
    const { shown, diverging } = store.state;
    if (shown === null) {
      return;
    }
    const known = shown.rows.some(({ difference }) => difference !== null);
    list.classList.toggle("no-bars", !known);
    scale.hidden = !known;
    const top = barTop(shown.rows);
    for (const [place, { difference }] of shown.rows.entries()) {
      const cell = elements[place];
      if (difference !== null && cell?.dataset.place !== undefined) {
        paintBar(cell, difference, top, diverging);
      }
    }
    ramp.style.backgroundImage = divergingGradient(diverging, (share) => (share === 0 ? 0 : 0.35 + 0.65 * share));
    least.textContent = `${MINUS}${threeDigits(top)}`;
    most.textContent = `+${threeDigits(top)} bits`;
  }

  function mark(): void {
    const { cursor, locked } = store.state;
    marked.forEach((cell) => {
      cell.classList.remove("lit", "key", "selected");
      cell.setAttribute("aria-selected", "false");
    });
    marked = [];
    const set = (place: number | null | undefined, ...names: string[]): void => {
      const cell = place === null || place === undefined ? undefined : elements[place];
      if (cell !== undefined) {
        cell.classList.add(...names);
        marked.push(cell);
      }
    };
    set(cursor?.query, "lit");
    set(cursor?.key, "key");
    set(locked, "selected");
    if (locked !== null) {
      elements[locked]?.setAttribute("aria-selected", "true");
    }
  }

  function setStop(stop: HTMLElement | undefined): void {
    if (stop !== undefined) {
      list.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
      stop.setAttribute("tabindex", "0");
    }
  }

  function point(cell: HTMLElement | null, by: "mouse" | "keyboard"): void {
    const place = cell?.dataset.place === undefined ? null : Number(cell.dataset.place);
    const row = place === null ? undefined : store.state.shown?.rows[place];
    if (cell === null || place === null || row === undefined) {
      tip.hide();
      if (store.state.cursor?.by === by) {
        store.set({ cursor: null });
      }
      return;
    }
    store.set({ cursor: { query: place, key: null, by } });
    tip.show(cell, pairNote(row));
  }

  function choose(cell: HTMLElement): void {
    if (cell.dataset.fold !== undefined) {
      turn(Number(cell.dataset.fold));
      return;
    }
    const place = Number(cell.dataset.place);
    const { locked, shown } = store.state;
    if (shown !== null && place < shown.space.count) {
      store.set({ locked: locked === place ? null : place });
    }
  }

  function turn(first: number): void {
    if (!opened.delete(first)) {
      opened.add(first);
    }
    const hadFocus = list.contains(document.activeElement);
    tip.hide();
    fill();
    const marker = list.querySelector<HTMLElement>(`[data-fold="${first}"]`);
    setStop(marker ?? undefined);
    if (hadFocus) {
      marker?.focus();
    }
    comparing.announce(marker?.textContent ?? "");
  }

  const stopUnder = (target: EventTarget | null): HTMLElement | null =>
    target instanceof Element ? target.closest<HTMLElement>(".pair, .fold") : null;
  list.addEventListener("pointerover", (event) => {
    point(stopUnder(event.target), "mouse");
  });
  list.addEventListener("pointerleave", () => {
    point(null, "mouse");
  });
  list.addEventListener("click", (event) => {
    const stop = stopUnder(event.target);
    if (stop !== null) {
      setStop(stop);
      choose(stop);
    }
  });
  list.addEventListener("focusin", (event) => {
    const stop = stopUnder(event.target);
    if (stop?.matches(":focus-visible") === true) {
      setStop(stop);
      point(stop, "keyboard");
    }
  });
  list.addEventListener("focusout", () => {
    point(null, "keyboard");
  });
  list.addEventListener("keydown", (event) => {
    const stop = stopUnder(event.target);
    if (stop === null) {
      return;
    }
    const next = besideIn(stops, stop, event.key) ?? lineAway(stops, stop, event.key);
    if (next !== null) {
      setStop(next);
      next.focus();
    } else if (event.key === "Enter" || event.key === " ") {
      choose(stop);
    } else {
      return;
    }
    event.preventDefault();
  });

  store.subscribe((state, before) => {
    if (state.shown !== before.shown && state.shown !== null) {
      if (state.shown.rows.length !== before.shown?.rows.length) {
        opened.clear();
      }
      sections = sectionsOf(state.shown.pairs.map(({ same }) => same));
      tip.hide();
      fill();
    } else if (state.theme !== before.theme) {
      paint();
    }
    if (state.cursor !== before.cursor || state.locked !== before.locked) {
      mark();
    }
  });
  const bar = element("div", { class: "bar" }, element("h2", {}, "Text"), scale);
  return element("section", { class: "pair-text", "aria-label": "Text" }, bar, list, tip.element);
}

/** Which line is whose, at the beginning. */
function keyOfLines(): HTMLElement {
  return element(
    "span",
    { class: "pair-key", "aria-hidden": "true" },
    element("span", {}, "A"),
    element("span", {}, "B"),
    element("span", {}, "±"),
  );
}
