// A page of parts: it listens to the host, keeps what all parts share, and shows them or why there is nothing to show.

import type { Selection, TraceData, ViewState } from "../../src/shared/messages";
import { createEdits, type EditStore } from "../switch_off/edit_store";
import { announcer } from "./announcer";
import { colourMap, DEFAULT_MAP, type ColourMap } from "./colour_map";
import { element } from "./dom";
import { connectHost, type Host } from "./host";
import { selectionOf, type SharedSelection } from "./shared_selection";
import { stateTaker } from "./state_taker";
import { createStore, type Store } from "./store";
import { TraceReads } from "./trace_reads";
import { readTheme, watchTheme, type Theme } from "./theme";

export interface PageState {
  view: ViewState;
  selection: Selection;
  statistic: string;
  mapName: string;
  theme: Theme;
  /** The colour map of that name in that theme. */
  map: ColourMap;
}

export interface Page {
  host: Host;
  store: Store<PageState>;
  reads: TraceReads;
  /** Takes effect here at once, and everywhere by way of the host. */
  select: (change: Partial<Selection>) => void;
  /** What is to be switched off in the trace. */
  edits: EditStore;
  /** Says something to those who do not see it. */
  announce: (text: string) => void;
}

/** Makes its element once; what it shows it takes from the page's store. */
export type Part = (page: Page) => HTMLElement;

const NO_SELECTION: Selection = { traceId: null, layer: 0, head: 0, token: null, step: null };

export function traceOf(state: PageState): TraceData | null {
  return state.view.kind === "trace" ? state.view.trace : null;
}

export function runPage(title: string, parts: readonly Part[]): void {
  const root = document.getElementById("root") ?? document.body;
  const host = connectHost();
  const theme = readTheme();
  const store = createStore<PageState>({
    view: { kind: "loading", title: "" },
    selection: NO_SELECTION,
    statistic: "",
    mapName: DEFAULT_MAP,
    theme,
    map: colourMap(DEFAULT_MAP, theme.ground),
  });
  const reads = new TraceReads((message) => {
    host.post(message);
  });
  const live = element("div", { class: "visually-hidden", "aria-live": "polite", role: "status" });
  const selection = selectionOf(host, store);
  const announce = announcer(live);
  const edits = createEdits(host, store, announce);
  const page: Page = { host, store, reads, edits, announce, select: selection.select };
  const shown = parts.map((part) => part(page));
  const notice = element("div", { class: "notice", role: "status" });
  const heading = element("h1", { class: "visually-hidden" }, title);
  root.replaceChildren(element("main", {}, heading, notice, ...shown), live);
  store.subscribe((state, before) => {
    if (state.view !== before.view) {
      const hasTrace = state.view.kind === "trace";
      notice.replaceChildren(...noticeOf(state.view, host));
      notice.hidden = hasTrace;
      shown.forEach((part) => (part.hidden = !hasTrace));
      root.setAttribute("aria-busy", String(state.view.kind === "loading"));
    }
  });
  shown.forEach((part) => (part.hidden = true));
  watchTheme(() => {
    const changed = readTheme();
    store.set({ theme: changed, map: colourMap(store.state.mapName, changed.ground) });
  });
  receive(page, selection);
  host.post({ type: "ready" });
}

function receive({ host, store, reads }: Page, selection: SharedSelection): void {
  const states = stateTaker({
    shown: () => store.state.view,
    leave: () => {
      reads.clear(true);
    },
    show: (message) => {
      reads.clear();
      reads.give(message.given);
      store.set({ view: message.state });
      selection.open(message.selection, message.change);
    },
  });
  host.listen((message) => {
    switch (message.type) {
      case "state":
        states.take(message);
        break;
      case "selection":
        if (!states.isLeaving()) {
          selection.take(message.selection, message.change);
        }
        break;
      case "settings":
        store.set({
          statistic: message.statistic,
          mapName: message.colourMap,
          map: colourMap(message.colourMap, store.state.theme.ground),
        });
        break;
      case "read":
      case "readFailed":
        reads.answer(message);
        break;
      case "running": // for the page that has parts
      case "showPart":
        break;
    }
  });
}

function noticeOf(view: ViewState, host: Host): HTMLElement[] {
  switch (view.kind) {
    case "trace":
      return [];
    case "loading":
      return [
        element("div", { class: "progress", "aria-hidden": "true" }),
        element("p", {}, view.title === "" ? "Loading…" : `Loading ${view.title}…`),
      ];
    case "empty":
    case "failed": {
      const { action } = view;
      const text = element("p", { class: view.kind }, view.message);
      if (action === undefined) {
        return [text];
      }
      const button = element("button", { type: "button", class: "primary" }, action.label);
      button.addEventListener("click", () => {
        host.post({ type: "command", command: action.command });
      });
      return [text, button];
    }
  }
}
