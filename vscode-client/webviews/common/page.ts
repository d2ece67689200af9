// A page of parts: it listens to the host, keeps what all parts share, and shows them or why there is nothing to show.

import type { Selection, TraceData, ViewState } from "../../src/shared/messages";
import { colourMap, DEFAULT_MAP, type ColourMap } from "./colour_map";
import { element } from "./dom";
import { connectHost, type Host } from "./host";
import { createStore, type Store } from "./store";
import { TensorRequests } from "./tensor_requests";
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
  tensors: TensorRequests;
  /** Takes effect here at once, and everywhere by way of the host. */
  select: (change: Partial<Selection>) => void;
  /** Says something to those who do not see it. */
  announce: (text: string) => void;
}

/** Makes its element once; what it shows it takes from the page's store. */
export type Part = (page: Page) => HTMLElement;

const NO_SELECTION: Selection = { traceId: null, layer: 0, head: 0, token: null, step: null };
const OWN_CHANGES_FIRST = 250; // milliseconds in which the host's echo of an older change does not undo a newer one

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
  const tensors = new TensorRequests((message) => {
    host.post(message);
  });
  const live = element("div", { class: "visually-hidden", "aria-live": "polite", role: "status" });
  const page: Page = { host, store, tensors, announce: announcer(live), select: selecting(host, store) };
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
  receive(page);
  host.post({ type: "ready" });
}

function receive({ host, store, tensors }: Page): void {
  let later: ReturnType<typeof setTimeout> | undefined;
  host.listen((message) => {
    switch (message.type) {
      case "state":
        tensors.clear();
        store.set({ view: message.state });
        break;
      case "selection": {
        clearTimeout(later);
        const wait = lastOwnChange + OWN_CHANGES_FIRST - performance.now();
        const take = (): void => {
          store.set({ selection: message.selection });
        };
        if (wait > 0 && message.selection.traceId === store.state.selection.traceId) {
          later = setTimeout(take, wait);
        } else {
          take();
        }
        break;
      }
      case "settings":
        store.set({
          statistic: message.statistic,
          mapName: message.colourMap,
          map: colourMap(message.colourMap, store.state.theme.ground),
        });
        break;
      case "tensor":
      case "tensorFailed":
        tensors.answer(message);
        break;
    }
  });
}

let lastOwnChange = -Infinity;

function selecting(host: Host, store: Store<PageState>): (change: Partial<Selection>) => void {
  let pending: Partial<Selection> | null = null;
  return (change) => {
    lastOwnChange = performance.now();
    store.set({ selection: { ...store.state.selection, ...change } });
    if (pending === null) {
      queueMicrotask(() => {
        host.post({ type: "select", change: pending ?? {} });
        pending = null;
      });
    }
    pending = { ...pending, ...change };
  };
}

const QUIET = 150; // milliseconds without news before it is said, so that held keys do not stammer

function announcer(live: HTMLElement): (text: string) => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return (text) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      live.textContent = text;
    }, QUIET);
  };
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
