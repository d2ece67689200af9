// The one text of a trace: coloured by attention from or to a token, or by surprisal; it and the matrix scroll each other.

import { element, iconButton, setAttributes } from "../common/dom";
import { traceOf } from "../common/page";
import { metricsOf } from "../common/statistics";
import { tokenList } from "../common/token_list";
import { isSpecial } from "../common/token_text";
import type { AttentionState } from "../attention/attention_state";
import type { TraceData } from "../../src/shared/messages";
import { surprisalParts, tokenTip } from "./token_tip";
import { findBar, FIND_ICON } from "./find_bar";
import { onForkKey } from "./fork";
import type { Pointed } from "../attention/pointed";
import { coloursOf } from "./text_colours";
import { marksKey, textLegend, textSwitch } from "./text_head";
import { textPaint } from "./text_paint";
import { pointedInText } from "./text_source";
import { createTextLooking } from "./text_state";
import { textWords } from "./text_words";
import { weightParts } from "./weight_tip";

type By = "mouse" | "keyboard";
const REST = 80; // milliseconds without a move
const NO_ROW = "The last token was never read by the model: it has no row.";

/** `reveal`: brings a cell into the matrix's window. */
export function textPart(looking: AttentionState, reveal: (query: number, key: number) => void): HTMLElement {
  const { page, store } = looking;
  const text = createTextLooking(looking);
  const tip = tokenTip();
  let pointed: { position: number; by: By } | null = null;
  let resting: ReturnType<typeof setTimeout> | undefined;
  const marked = new Map<string, HTMLElement | undefined>();
  const words = element("p", { class: "text-words muted" });
  const key = element("p", { class: "key muted" });
  const list = tokenList("Text", {
    point: (position, by) => {
      pointed = position === null ? null : { position, by };
      const at =
        position === null
          ? null
          : pointedInText(text.mode(), position, page.store.state.selection.token, looking.rows());
      if (at !== null || store.state.pointed?.by === "text") {
        store.set({ pointed: at });
      }
      if (position !== null && at !== null) {
        reveal(at.query, position);
      }
      tell(by);
    },
    choose: (position) => {
      if (position < looking.rows()) {
        const chosen = position === page.store.state.selection.token ? null : position;
        page.select({ token: chosen });
        store.set({ pointed: pointedInText(text.mode(), position, chosen, looking.rows()) });
      }
    },
  });
  const colours = textPaint(list);
  const find = findBar(list, {
    page,
    current: () => page.store.state.selection.token ?? 0,
    show: (position) => {
      tip.close();
      list.reveal(position);
      if (position < looking.rows()) {
        page.select({ token: position });
        reveal(position, position);
      }
    },
  });

  onForkKey(page, () => pointed?.position ?? page.store.state.selection.token);

  function tell(by: By): void {
    const trace = looking.trace();
    const token = pointed === null ? undefined : trace?.tokens[pointed.position];
    const span = pointed === null ? undefined : list.spans[pointed.position];
    if (trace === null || token === undefined || span === undefined || pointed === null) {
      tip.leave(by);
      return;
    }
    const parts =
      text.mode() === "surprisal"
        ? surprisalParts(page, trace, token, metricsOf(trace, "token"), coloursOf(text).map)
        : weightParts(text, token);
    tip.show(parts, span, pointed.by);
  }

  function paint(anew: boolean): void {
    colours.paint(coloursOf(text), anew);
    const attention = text.mode() !== "surprisal";
    mark(attention ? text.source() : looking.lit(), "lit");
    const { pointed: cell } = store.state;
    mark(text.mode() === "to" ? (cell?.query ?? null) : (cell?.key ?? null), "key");
    words.replaceChildren(...textWords(text));
    if (pointed !== null && attention) {
      tell(pointed.by);
    }
  }

  /** Scrolls to the token of the cell that is pointed at; not after each move of the mouse, but where it rests. */
  function follow(cell: Pointed | null): void {
    clearTimeout(resting);
    if (cell === null || cell.by === "text") {
      return;
    }
    const position = text.mode() === "to" && cell.key !== null ? cell.key : cell.query;
    resting = setTimeout(
      () => {
        list.reveal(position);
      },
      cell.by === "mouse" ? REST : 0,
    );
  }

  function mark(position: number | null, name: "lit" | "key"): void {
    const span = position === null ? undefined : list.spans[position];
    if (marked.get(name) !== span) {
      marked.get(name)?.classList.remove(name);
      span?.classList.add(name);
      marked.set(name, span);
    }
  }

  function fill(trace: TraceData): void {
    marked.clear();
    pointed = null;
    clearTimeout(resting);
    tip.close();
    list.fill(trace.tokens);
    colours.look();
    list.spans.slice(looking.place() === null ? trace.tokens.length : trace.positions).forEach((span) => {
      span.classList.add("no-row");
      span.title = NO_ROW;
    });
    special.hidden = !trace.tokens.some((token) => isSpecial(token.text));
    find.fill(trace.tokens);
  }

  function markLater(trace: TraceData): void {
    const rows = looking.rows();
    list.spans.forEach((span, position) => {
      const later = rows < trace.positions && position > rows;
      span.classList.toggle("later", later);
      setAttributes(span, { "aria-disabled": later ? "true" : null });
    });
  }

  const box = element("input", { type: "checkbox" });
  const special = element("label", { class: "check" }, box, "Hide special tokens");
  box.addEventListener("change", () => {
    text.store.set({ hideSpecial: box.checked });
  });

  page.store.subscribe((state, before) => {
    const trace = traceOf(state);
    if (trace === null) {
      tip.close();
      return;
    }
    const opened = state.view !== before.view;
    if (opened) {
      fill(trace);
    }
    if (opened || state.selection.step !== before.selection.step) {
      markLater(trace);
    }
    list.select(state.selection.token);
    paint(opened || state.map !== before.map || state.theme !== before.theme);
    if (opened || text.mode() === "surprisal") {
      key.replaceChildren(...marksKey(trace));
    }
    if (!opened && state.selection.token !== before.selection.token && state.selection.token !== null) {
      list.reveal(state.selection.token);
    }
  });
  store.subscribe((state, before) => {
    if (state.pointed !== before.pointed) {
      follow(state.pointed);
    }
    paint(false);
  });
  const showMode = (): void => {
    box.checked = text.store.state.hideSpecial;
    list.element.classList.toggle("hide-special", box.checked);
    colours.look();
    paint(true);
  };
  text.store.subscribe(showMode);
  showMode();
  const open = iconButton("Find in the text (/)", FIND_ICON, find.open);
  open.classList.add("find-open");
  const head = element("div", { class: "text-head" }, element("h2", {}, "Text"), find.element, open);
  return element(
    "section",
    { class: "coloured-text", "aria-label": "Text" },
    head,
    textSwitch(text),
    element("div", { class: "bar text-tools" }, textLegend(text), special),
    words,
    list.element,
    key,
    tip.element,
  );
}
