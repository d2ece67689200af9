// What the attribution tab shows: the answer for the chosen position, and which part of it is looked at.

import type { AttributeLogitsResult } from "../../src/protocol";
import type { TraceData } from "../../src/shared/messages";
import { BoundedCache } from "../common/bounded_cache";
import { divergingMap, type DivergingMap } from "../common/diverging_map";
import { traceOf, type Page } from "../common/page";
import { createStore, type Store } from "../common/store";
import type { HeadPlace } from "../heads/trace_heads";
import type { Tab } from "../trace/tab";
import { asking, type Asking } from "../why/asking";
import { askedPosition, writtenAfter } from "../why/place";
import { headParts, partsByLayer, type Part } from "./parts";

export interface AttributionState {
  result: AttributeLogitsResult | null;
  /** The result's, in the order of the stream, and head by head. */
  parts: readonly Part[];
  heads: readonly Part[];
  /** Whose logit, and whose is taken off; null: the written one's, and nobody's. Numbers, or texts that are one token. */
  token: number | string | null;
  against: number | string | null;
  /** Under the mouse, else chosen by the keyboard. */
  pointed: Part | null;
  map: DivergingMap;
}

export interface Attribution {
  page: Page;
  store: Store<AttributionState>;
  asking: Asking<"attribute_logits">;
  trace: () => TraceData | null;
  position: () => number;
  ask: () => void;
  /** Chooses a head and shows its matrix. */
  openHead: (place: HeadPlace) => void;
}

const KEPT = 50; // answers
const SOURCES = 8;
const NOTHING = { result: null, parts: [], heads: [], pointed: null };

export function createAttribution(page: Page, tab: Tab): Attribution {
  const store = createStore<AttributionState>({
    ...NOTHING,
    token: null,
    against: null,
    map: divergingMap(page.store.state.theme.ground),
  });
  const asked = asking(page, "attribute_logits");
  const known = new BoundedCache<AttributeLogitsResult>(KEPT, () => 1);
  const trace = (): TraceData | null => traceOf(page.store.state);
  const position = (): number => {
    const shown = trace();
    return shown === null ? 0 : askedPosition(shown, page.store.state.selection);
  };
  let place = 0;

  function take(result: AttributeLogitsResult): void {
    const { components } = result;
    const [parts, heads] = [partsByLayer(components), headParts(components)];
    const before = store.state.pointed?.name;
    const pointed = [...parts, ...heads].find(({ name }) => name === before) ?? null;
    store.set({ result, parts, heads, pointed });
  }

  function ask(): void {
    const shown = trace();
    const { token, against } = store.state;
    if (shown === null || shown.tokens.length === 0) {
      return;
    }
    if (token === null && writtenAfter(shown, position()) === null) {
      asked.stop();
      store.set(NOTHING);
      return;
    }
    const params = { position: position(), token, against, sources: SOURCES };
    const key = JSON.stringify(params);
    const answer = known.get(key);
    if (answer === undefined) {
      asked.ask(params, (result) => {
        known.set(key, result);
        take(result);
      });
    } else if (answer !== store.state.result) {
      asked.stop();
      take(answer);
    }
  }

  page.store.subscribe((state, before) => {
    if (state.theme !== before.theme) {
      store.set({ map: divergingMap(state.theme.ground) });
    }
    if (state.view !== before.view) {
      known.clear();
      store.set(NOTHING);
    }
    if (state.view !== before.view || position() !== place) {
      place = position();
      store.set({ token: null, against: null });
    }
    ask();
  });
  store.subscribe((state, before) => {
    if (state.token !== before.token || state.against !== before.against) {
      ask();
    }
  });
  tab.onLeave(asked.stop);
  return {
    page,
    store,
    asking: asked,
    trace,
    position,
    ask,
    openHead: (head) => {
      page.select({ ...head });
      tab.open("attention");
    },
  };
}
