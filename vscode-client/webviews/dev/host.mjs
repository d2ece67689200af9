// Plays the extension host for one webview in a frame, as src/views do; `window.harness` is for tests.

import { compareHost } from "./compare_host.mjs";

const query = new URLSearchParams(location.search);
const frame = document.createElement("iframe");
const selection = { traceId: null, layer: 0, head: 0, token: null, step: null };
const settings = { statistic: query.get("statistic") ?? "induction", colourMap: query.get("map") ?? "" };
const cancelled = new Set();
let lastChange = 0;
const log = [];
const saved = []; // files and texts that the view gave

async function rpc(method, params) {
  const answer = await fetch("/rpc", { method: "POST", body: JSON.stringify({ method, params }) });
  const { result, error } = await answer.json();
  if (error !== undefined) throw Object.assign(new Error(error.message), { name: error.data?.name ?? "UNKNOWN" });
  return result;
}

function say(message) {
  frame.contentWindow.postMessage(message, "*");
}

function sayState(state) {
  say({ type: "state", state, given: [], selection: { ...selection }, change: lastChange });
}

function saySelection() {
  say({ type: "selection", selection: { ...selection }, change: lastChange });
}

async function show(traceId) {
  Object.assign(selection, { traceId, token: null, step: null });
  sayState({ kind: "loading", title: traceId });
  const params = { trace_id: traceId };
  try {
    const [summary, tokens, analysis] = await Promise.all([
      rpc("get_summary", params),
      rpc("get_tokens", params),
      rpc("analyze_trace", params),
    ]);
    const weights = Object.entries(summary.data_info.tensors).filter(([name]) => name.startsWith("attention_weights."));
    const layers = weights.map(([name]) => Number(/\d+$/.exec(name)?.[0])).sort((a, b) => a - b);
    const shape = weights[0]?.[1].shape ?? [1, 0, 0, 0];
    const trace = { summary, tokens: tokens.tokens, analysis: analysis.analysis, metrics: analysis.metrics };
    sayState({ kind: "trace", trace: { ...trace, layers, heads: shape[1], positions: shape[2] } });
  } catch (error) {
    sayState({ kind: "failed", message: error.message, action: { label: "Try Again", command: "retry" } });
  }
}

const ANSWERS = {
  async ready() {
    lastChange = 0;
    say({ type: "settings", ...settings });
    const state = query.get("state");
    if (state !== null) {
      sayState(JSON.parse(state));
      return;
    }
    const { traces } = await rpc("list_traces", {});
    await show(query.get("trace") ?? traces.find((trace) => trace.readable).trace_id);
  },
  select({ change, number = lastChange }) {
    lastChange = number;
    Object.assign(selection, change);
    saySelection();
  },
  async read({ request, method, params }) {
    try {
      const result = await rpc(method, { trace_id: selection.traceId, ...params });
      if (!cancelled.delete(request)) say({ type: "read", request, result });
    } catch (error) {
      say({ type: "readFailed", request, message: error.message, name: error.name });
    }
  },
  cancelRead({ request }) {
    cancelled.add(request);
  },
  setStatistic({ statistic }) {
    settings.statistic = statistic;
    say({ type: "settings", ...settings });
  },
  save(message) {
    saved.push(message);
  },
  copy({ text }) {
    saved.push({ name: "clipboard", encoding: "text", data: text });
  },
  command() {},
};

const compare = query.get("view") === "compare" ? compareHost({ query, rpc, say }) : undefined;
const answers = compare?.answers ?? ANSWERS;
window.addEventListener("message", (event) => {
  log.push(event.data);
  log.splice(0, log.length - 50);
  void answers[event.data.type]?.(event.data);
});
window.harness = { show, select: (change) => ANSWERS.select({ change }), say, rpc, selection, log, saved };
frame.src = `/webview?${new URLSearchParams({ view: query.get("view") ?? "trace", theme: query.get("theme") ?? "dark-plus" })}`;
document.body.append(frame);
