// The text, coloured by what the lit row looks at.

import { css } from "../common/colour";
import { colourAt, textAt } from "../common/colour_map";
import { element } from "../common/dom";
import { traceOf } from "../common/page";
import { tokenList } from "../common/token_list";
import type { Looking } from "./looking";
import { shareOf } from "./value_scale";

export function colouredTextPart(looking: Looking): HTMLElement {
  const { page, store } = looking;
  const list = tokenList("Text, coloured by attention from the chosen token", {
    point: (position, by) => {
      const rows = looking.rows();
      const { pointed } = store.state;
      if (position !== null && position < rows) {
        store.set({ pointed: { query: position, key: null, by } });
      } else if (pointed?.key === null) {
        store.set({ pointed: null });
      }
    },
    choose: (position) => {
      if (position < looking.rows()) {
        page.select({ token: position === page.store.state.selection.token ? null : position });
      }
    },
  });
  let coloured = 0;

  function paint(): void {
    const { map } = page.store.state;
    const { row, faint } = store.state;
    const lit = looking.lit();
    const shown = row !== null && row.query === lit ? row : null;
    const count = shown === null ? 0 : shown.query + 1;
    list.spans.slice(0, Math.max(count, coloured)).forEach((span, key) => {
      const share = key < count ? shareOf(shown?.values[key] ?? 0, faint) : 0;
      span.style.backgroundColor = share < 0.004 ? "" : css(colourAt(map, share));
      span.style.color = share < 0.004 ? "" : css(textAt(map, share));
    });
    coloured = count;
    list.spans.forEach((span, position) => {
      span.classList.toggle("lit", position === lit);
    });
  }

  function markLater(): void {
    const rows = looking.rows();
    const all = looking.trace()?.positions ?? 0;
    list.spans.forEach((span, position) => {
      span.classList.toggle("later", rows < all && position > rows);
    });
  }

  page.store.subscribe((state, before) => {
    const trace = traceOf(state);
    if (trace === null) {
      return;
    }
    if (state.view !== before.view) {
      coloured = 0;
      list.fill(trace.tokens);
      list.spans.forEach((span, position) => {
        if (position >= trace.positions) {
          span.classList.add("no-row");
          span.title = "The last token was never read by the model: it has no row.";
        }
      });
    }
    if (state.view !== before.view || state.selection.step !== before.selection.step) {
      markLater();
    }
    list.select(state.selection.token);
    paint();
  });
  store.subscribe((state, before) => {
    if (state.row !== before.row || state.pointed !== before.pointed || state.faint !== before.faint) {
      paint();
    }
  });
  return element("section", { class: "coloured-text", "aria-label": "Text" }, element("h2", {}, "Text"), list.element);
}
