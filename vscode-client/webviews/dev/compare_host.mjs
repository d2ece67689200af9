// Plays the extension host for one comparing page, as src/views/compare_panel.ts does.

import { traceDocument } from "./trace_document.mjs";

const SIDES = ["one", "other"];

/** `say` posts to the page, `rpc` asks the daemon; the ids come from the address, else they are the first two traces. */
export function compareHost({ query, rpc, say }) {
  const places = { swapped: false };
  const cancelled = new Set();

  async function showSide(side) {
    try {
      const trace = await traceDocument(rpc, places[side].traceId);
      say({ type: "side", side, state: { kind: "trace", trace } });
    } catch (error) {
      say({ type: "side", side, state: { kind: "failed", message: error.message } });
    }
  }

  const start = async () => {
    const { traces } = await rpc("list_traces", {});
    const [one, other] = traces.filter((trace) => trace.readable).map((trace) => trace.trace_id);
    places.one = { folder: "", traceId: query.get("trace") ?? one };
    places.other = { folder: "", traceId: query.get("other") ?? other ?? one };
    say({ type: "settings", colourMap: query.get("map") ?? "" });
    say({ type: "places", places: { ...places } });
    SIDES.forEach((side) => say({ type: "side", side, state: { kind: "loading" } }));
    await Promise.all(SIDES.map(showSide));
  };
  const answers = {
    ready: start,
    again: start,
    async ask({ side, ask }) {
      if (ask.type === "cancelRead") {
        cancelled.add(`${side}.${ask.request}`);
        return;
      }
      const { request, method, params } = ask;
      try {
        const result = await rpc(method, { trace_id: places[side].traceId, ...params });
        if (!cancelled.delete(`${side}.${request}`)) {
          say({ type: "answer", side, answer: { type: "read", request, result } });
        }
      } catch (error) {
        say({ type: "answer", side, answer: { type: "readFailed", request, message: error.message } });
      }
    },
    async compare({ layer }) {
      const ids = { trace_id: places.one.traceId, other_id: places.other.traceId };
      try {
        const result = await rpc("compare_traces", { ...ids, layer, heads: layer !== null });
        say({ type: "compared", layer, result });
      } catch (error) {
        say({ type: "notCompared", layer, message: error.message });
      }
    },
    swap({ swapped }) {
      places.swapped = swapped;
      say({ type: "places", places: { ...places } });
    },
  };
  return { places, answers };
}
