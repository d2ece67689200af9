// The page of a trace: a header that stays, and below it one tab for each part.

import "./trace.css";
import "../switch_off/switch_off.css";
import { PAGE_PARTS, type PagePart } from "../../src/shared/messages";
import { attentionView } from "../attention/view";
import { attributionView } from "../attribution/view";
import { element } from "../common/dom";
import { traceOf, type Page, type PageState, type Part } from "../common/page";
import { whileShown, type WhileShown } from "../common/while_shown";
import { layersView } from "../layers/view";
import { lensView } from "../lens/view";
import { headerPart } from "./header";
import { shownHead } from "../heads/trace_heads";
import { editBar } from "../switch_off/edit_bar";
import { onEditInput } from "../switch_off/edit_input";
import type { Tab } from "./tab";
import { onTraceKeys } from "./trace_keys";

const PART_KEY = "part";
const SCROLL_KEY = "scroll";
const PARTS: Record<PagePart, { label: string; part: (page: Page, tab: Tab) => HTMLElement }> = {
  attention: { label: "Attention", part: attentionView },
  layers: { label: "Layers", part: layersView },
  lens: { label: "Lens", part: lensView },
  attribution: { label: "Attribution", part: attributionView },
};
/** Those that hear of changes only while they are shown; attention is always ready to be. */
const QUIET = PAGE_PARTS.filter((name) => name !== "attention");

export const tracePage: Part = (page) => {
  const quiet = new Map<PagePart, WhileShown<PageState>>(QUIET.map((name) => [name, whileShown(page.store)]));
  const left = new Map(PAGE_PARTS.map((name) => [name, [] as (() => void)[]]));
  const panels = new Map(
    PAGE_PARTS.map((name) => [
      name,
      element(
        "div",
        { id: `part-${name}`, role: "tabpanel", "aria-labelledby": `tab-${name}`, class: "part" },
        PARTS[name].part({ ...page, store: quiet.get(name)?.store ?? page.store }, tabOf(name)),
      ),
    ]),
  );
  const tabs = PAGE_PARTS.map((name) =>
    element(
      "button",
      { type: "button", id: `tab-${name}`, role: "tab", class: "tab", "aria-controls": `part-${name}` },
      PARTS[name].label,
    ),
  );
  const list = element("div", { class: "tabs", role: "tablist", "aria-label": "Parts of the trace" }, ...tabs);
  const header = element("header", { class: "trace-header" }, headerPart(page), editBar(page), list);
  const whole = element("div", { class: "trace" }, header, ...panels.values());
  const scrolls = rememberedScrolls(page);
  let shown = partNamed(page.host.recall(PART_KEY));

  function tabOf(name: PagePart): Tab {
    return {
      open: (part) => {
        show(part);
        tabs[PAGE_PARTS.indexOf(part)]?.focus();
      },
      onLeave: (listener) => left.get(name)?.push(listener),
    };
  }

  function show(name: PagePart): void {
    if (name !== shown) {
      left.get(shown)?.forEach((listener) => {
        listener();
      });
    }
    shown = name;
    page.host.keep(PART_KEY, name);
    PAGE_PARTS.forEach((one, index) => {
      const chosen = one === name;
      panels.get(one)?.toggleAttribute("hidden", !chosen);
      tabs[index]?.setAttribute("aria-selected", String(chosen));
      tabs[index]?.setAttribute("tabindex", chosen ? "0" : "-1");
    });
    for (const [one, { show: showQuiet }] of quiet) {
      showQuiet(one === name);
    }
    scrolls.back(name);
  }

  function step(by: number): void {
    const index = (PAGE_PARTS.indexOf(shown) + by + PAGE_PARTS.length) % PAGE_PARTS.length;
    show(PAGE_PARTS[index] ?? shown);
    tabs[index]?.focus();
  }

  tabs.forEach((tab, index) => {
    tab.addEventListener("click", () => {
      show(PAGE_PARTS[index] ?? shown);
    });
  });
  list.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by !== undefined) {
      event.preventDefault();
      step(by);
    }
  });
  page.host.listen((message) => {
    if (message.type === "showPart") {
      show(message.part);
    }
  });
  page.store.subscribe((state, before) => {
    const trace = traceOf(state);
    if (trace === null || state.view === before.view) {
      return;
    }
    const earlier = traceOf(before)?.summary.trace_id;
    page.host.keep("traceId", trace.summary.trace_id);
    whole.dataset.trace = trace.summary.trace_id;
    scrolls.of(trace.summary.trace_id);
    if (earlier !== trace.summary.trace_id) {
      scrolls.back(shown);
    }
  });
  window.addEventListener("scroll", () => {
    scrolls.keep(shown);
  });
  onTraceKeys(page);
  onEditInput(page, whole, () => {
    const trace = traceOf(page.store.state);
    const { selection } = page.store.state;
    return trace === null ? null : (shownHead(trace, selection) ?? { layer: selection.layer, head: selection.head });
  });
  show(shown);
  return whole;
};

function partNamed(name: unknown): PagePart {
  return PAGE_PARTS.find((one) => one === name) ?? "attention";
}

interface Scrolls {
  of: (traceId: string) => void;
  keep: (part: PagePart) => void;
  back: (part: PagePart) => void;
}

/** How far each part of the trace was scrolled down; another trace begins at its top. */
function rememberedScrolls({ host }: Page): Scrolls {
  let kept = { traceId: "", ...(host.recall(SCROLL_KEY) as object | undefined) } as Record<string, unknown>;
  return {
    of: (traceId) => {
      if (kept.traceId !== traceId) {
        kept = { traceId };
      }
    },
    keep: (part) => {
      if (document.visibilityState === "visible") {
        kept = { ...kept, [part]: Math.round(window.scrollY) };
        host.keep(SCROLL_KEY, kept);
      }
    },
    back: (part) => {
      const top = kept[part];
      window.scrollTo({ top: typeof top === "number" ? top : 0, behavior: "instant" });
    },
  };
}
