// The text, coloured by what the lit row looks at.

import { css } from "../common/colour";
import { colourAt, textAt } from "../common/colour_map";
import { element, setAttributes } from "../common/dom";
import { traceOf } from "../common/page";
import { tokenList } from "../common/token_list";
import { scaleOf, type AttentionState } from "./attention_state";
import { shareOf } from "./value_scale";

const LEAST = 0.004; // of the map, under which a colour is not told from none

export function colouredTextPart(looking: AttentionState): HTMLElement {
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
  let coloured = new Set<HTMLElement>();
  const marked: { lit: HTMLElement | undefined; key: HTMLElement | undefined } = { lit: undefined, key: undefined };

  function paint(): void {
    const { map } = page.store.state;
    const { row, pointed } = store.state;
    const scale = scaleOf(store.state);
    const lit = looking.lit();
    const before = coloured;
    coloured = new Set();
    if (row !== null && row.query === lit) {
      list.spans.slice(0, row.query + 1).forEach((span, key) => {
        const share = shareOf(row.values[key] ?? 0, scale);
        if (share >= LEAST) {
          span.style.backgroundColor = css(colourAt(map, share));
          span.style.color = css(textAt(map, share));
          coloured.add(span);
        }
      });
    }
    for (const span of before) {
      if (!coloured.has(span)) {
        span.style.backgroundColor = span.style.color = "";
      }
    }
    mark(lit, "lit");
    mark(pointed?.key ?? null, "key");
  }

  function mark(position: number | null, name: "lit" | "key"): void {
    const span = position === null ? undefined : list.spans[position];
    if (marked[name] !== span) {
      marked[name]?.classList.remove(name);
      span?.classList.add(name);
      marked[name] = span;
    }
  }

  function markLater(): void {
    const rows = looking.rows();
    const all = looking.trace()?.positions ?? 0;
    list.spans.forEach((span, position) => {
      const later = rows < all && position > rows;
      span.classList.toggle("later", later);
      setAttributes(span, { "aria-disabled": later ? "true" : null });
    });
  }

  page.store.subscribe((state, before) => {
    const trace = traceOf(state);
    if (trace === null) {
      return;
    }
    if (state.view !== before.view) {
      coloured = new Set();
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
    const rescaled = state.scale !== before.scale || state.top !== before.top;
    if (state.row !== before.row || state.pointed !== before.pointed || rescaled) {
      paint();
    }
  });
  return element("section", { class: "coloured-text", "aria-label": "Text" }, element("h2", {}, "Text"), list.element);
}
