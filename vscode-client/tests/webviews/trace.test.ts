// What the views say of a trace: heads, steps, roles, surprisal, curves, facts.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Analysis, Metric, TokenRow } from "../../src/protocol";
import type { TraceData } from "../../src/shared/messages";
import { traceData } from "../../src/trace_data";
import { litRow, promptLength, rowsAfter, shownHead, stepCount } from "../../webviews/heads/trace_heads";
import {
  bestRole,
  domainOf,
  headStatistics,
  metricsOf,
  rankedHeads,
  rolesOf,
  statisticNamed,
  statisticsOf,
} from "../../webviews/common/statistics";
import { curveGroups, curveTable } from "../../webviews/layers/layer_curves";
import { bitsText, mapShare, surprisalSummary, surprisalWords } from "../../webviews/text/surprisal";
import { traceFacts } from "../../webviews/layers/trace_facts";

const TEXT = ["<|bos|>", "The", " end", " A", "u", "."];
const TOKENS: TokenRow[] = TEXT.map((text, position) => ({
  position,
  id: position + 100,
  text,
  forced: position === 5,
  generated: position >= 3,
  surprisal: position === 0 ? null : position / 2,
  top: [],
}));
const site = (std: number) => ({ mean: 0, std, max: 1, min: -1, sparsity: 0 });
const ANALYSIS: Analysis = {
  attention: {
    num_layers: 2,
    layer_stats: {
      "3": {
        attention_entropy: 1.5,
        head_sparsity: 0.25,
        heads: [
          { induction: 0.1, previous_token: 0.9, sink: 0.2, duplicate_token: null },
          { induction: 0.7, previous_token: 0.1, sink: 0.2, duplicate_token: null },
        ],
      },
      "1": {
        attention_entropy: 2.5,
        head_sparsity: null,
        heads: [{ induction: 0.2 }, { induction: null, sink: 0.05 }],
      },
    },
  },
  activations: {
    layer_stats: { "1": { post_attn: site(0.5), resid: site(2) }, "3": { post_attn: site(0.75) } },
  },
};
const metric = (label: string, at: number | null, span: [number, number] | null = [0, 1]): Metric => ({
  of: "head",
  label,
  short: label,
  meaning: `${label}.`,
  span,
  role: at === null ? null : { words: `is a ${label}`, at },
});
const METRICS: Record<string, Metric> = {
  induction: metric("induction", 0.3),
  previous_token: metric("previous", 0.3),
  sink: metric("sink", 0.5),
  attention_entropy: metric("entropy", null, null),
  a_metric_of_tomorrow: metric("tomorrow", null),
};
const shape = { shape: [1, 2, 5, 5], dtype: "torch.float32" };
const TRACE: TraceData = {
  summary: {
    trace_id: "trace_1",
    timestamp: "2026-01-01T12:00:00",
    prompt: "The end",
    response: " Au.",
    category: null,
    metadata: { model_source: "demo", temperature: 0, note: "mine", list: [1] },
    model: {
      source: "demo",
      parameters: 1_310_850,
      dtype: "torch.float32",
      config: { n_layer: 4, window_pattern: "SL" },
    },
    generation: { temperature: 0, stop_reason: "max_tokens", timings: { prefill_seconds: 0.0131 } },
    data_info: {
      num_layers: 2,
      num_tokens: 5,
      num_steps: 3,
      intermediate_steps: false,
      tensors: { "attention_weights.layer_3": shape, "attention_weights.layer_1": shape, output_logits: shape },
    },
  },
  tokens: TOKENS,
  analysis: ANALYSIS,
  metrics: METRICS,
  layers: [1, 3],
  heads: 2,
  positions: 5,
};
const SELECTION = { traceId: "trace_1", layer: 0, head: 0, token: null, step: null };

void test("the head shown is the selected one, or the nearest that was captured", () => {
  const { tokens, analysis, metrics } = TRACE;
  assert.deepEqual(traceData({ ...TRACE.summary, tokens, analysis, metrics }).layers, [1, 3]);
  assert.deepEqual(shownHead(TRACE, SELECTION), { layer: 1, head: 0 });
  assert.deepEqual(shownHead(TRACE, { ...SELECTION, layer: 3, head: 9 }), { layer: 3, head: 1 });
  assert.equal(shownHead({ ...TRACE, layers: [] }, SELECTION), null);
});

void test("a step has the rows of the prompt and one a token", () => {
  assert.equal(promptLength(TRACE), 3);
  assert.equal(stepCount(TRACE), 3);
  assert.deepEqual(
    [0, 1, 2, null].map((step) => rowsAfter(TRACE, step)),
    [3, 4, 5, 5],
  );
});

void test("the lit row is pointed at, else chosen, else the newest of a replay", () => {
  assert.equal(litRow(2, { ...SELECTION, token: 1 }, 5), 2);
  assert.equal(litRow(null, { ...SELECTION, token: 1 }, 5), 1);
  assert.equal(litRow(null, SELECTION, 5), null);
  assert.equal(litRow(null, { ...SELECTION, step: 1 }, 4), 3);
  assert.equal(litRow(null, { ...SELECTION, token: 5 }, 5), null);
});

void test("a head's role is where most of its weight goes", () => {
  const role = bestRole(TRACE, headStatistics(ANALYSIS, 3, 0));
  assert.deepEqual([role?.statistic.name, role?.value, role?.clear], ["previous_token", 0.9, true]);
  assert.equal(bestRole(TRACE, headStatistics(ANALYSIS, 1, 1))?.clear, false);
  assert.equal(bestRole(TRACE, undefined), null);
});

void test("heads are ranked by a role, those without it left out", () => {
  assert.deepEqual(rankedHeads(ANALYSIS, "induction"), [
    { layer: 3, head: 1, value: 0.7 },
    { layer: 1, head: 0, value: 0.2 },
    { layer: 3, head: 0, value: 0.1 },
  ]);
});

void test("what the colours span", () => {
  assert.deepEqual(domainOf({ span: [0, 1] }, [0.1]), [0, 1]);
  assert.deepEqual(domainOf({ span: null }, [1.5, null, 2.5]), [0, 2.5]);
  assert.deepEqual(domainOf({}, []), [0, 1]);
});

void test("the daemon says which metrics there are", () => {
  assert.equal(statisticNamed(TRACE, "a_metric_of_tomorrow")?.label, "tomorrow");
  assert.equal(statisticNamed(TRACE, "no such")?.name, "induction");
  assert.equal(statisticNamed({ metrics: {} }, "sink"), null);
  assert.deepEqual(
    rolesOf(TRACE).map(({ name }) => name),
    ["induction", "previous_token", "sink"],
  );
});

void test("surprisal is summed up over what the model wrote of its own accord", () => {
  const { count, mean, most } = surprisalSummary(TOKENS);
  assert.deepEqual([count, mean, most?.position], [3, 1.75, 4]);
  assert.deepEqual(surprisalSummary(TOKENS.slice(0, 3)), { count: 0, mean: null, most: null });
});

void test("surprisal in words", () => {
  assert.equal(bitsText(2), "2.00 bits");
  assert.equal(bitsText(0.00001), "0 bits");
  const told = (index: number): string =>
    TOKENS.slice(index, index + 1)
      .map(surprisalWords)
      .join("");
  assert.equal(told(4), "2.00 bits, probability 25%");
  assert.match(told(5), /the calculator chose it$/);
  assert.match(told(0), /first token/);
  assert.ok(mapShare(0) === 0 && mapShare(2) === mapShare(1) && mapShare(1) < 1);
});

void test("curves by layer, and the same as a table", () => {
  const groups = curveGroups(ANALYSIS, { ...metric("Standard deviation", null), name: "std" });
  assert.deepEqual(
    groups.map(({ title }) => title),
    ["Attention entropy", "Attention sparsity", "Activations: standard deviation"],
  );
  const entropy = [2.5, 1.5];
  const sparsity = [null, 0.25];
  assert.deepEqual(
    groups.slice(0, 2).map(({ layers, curves }) => [layers, curves.map(({ values }) => values)]),
    [
      [[1, 3], [entropy]],
      [[1, 3], [sparsity]],
    ],
  );
  const { heads, rows } = curveTable(groups);
  assert.equal(heads.length, 5);
  assert.deepEqual(rows, [
    [1, 2.5, null, 0.5, 2],
    [3, 1.5, 0.25, 0.75, null],
  ]);
  assert.deepEqual(curveGroups({}, undefined), []);
});

void test("the daemon says which numbers layers and tokens have", () => {
  const tomorrow: Metric = { ...metric("Kurtosis", null), of: "layer" };
  const trace = { metrics: { ...METRICS, kurtosis: tomorrow, rank: { ...tomorrow, of: "token" as const } } };
  const [found] = metricsOf(trace, "layer");
  assert.deepEqual(
    metricsOf(trace, "token").map(({ name }) => name),
    ["rank"],
  );
  assert.equal(statisticsOf(trace).length, Object.keys(METRICS).length);
  const sites = { layer_stats: { "0": { post_mlp: { mean: 0, std: 1, max: 2, min: -1, sparsity: 0, kurtosis: 3 } } } };
  const groups = curveGroups({ activations: sites }, found);
  assert.deepEqual(
    groups.map(({ title, curves }) => [title, curves]),
    [["Activations: kurtosis", [{ name: "after MLP", values: [3] }]]],
  );
});

void test("facts have the model's sizes, the settings and the caller's own metadata", () => {
  const facts = traceFacts(TRACE);
  assert.deepEqual(
    facts.map(({ title }) => title),
    ["Trace", "Model", "Settings", "Timings", "Metadata"],
  );
  const rows = new Map(facts.flatMap((group) => group.rows));
  assert.equal(rows.get("Tokens"), "3 of the prompt, 3 written");
  assert.equal(rows.get("Parameters"), "1.31 M");
  assert.equal(rows.get("Windows"), "SL");
  assert.equal(rows.get("Computed in"), "float32");
  assert.equal(rows.get("Temperature"), "0");
  assert.equal(rows.get("Stopped by"), "max tokens");
  assert.equal(rows.get("Prompt"), "13.1 ms");
  assert.deepEqual(facts.at(-1)?.rows, [
    ["note", "mine"],
    ["list", "[1]"],
  ]);
  const foreign = traceFacts({ ...TRACE, summary: { ...TRACE.summary, model: null, generation: null, metadata: {} } });
  assert.deepEqual(
    foreign.map(({ title }) => title),
    ["Trace"],
  );
});
