// A trace's header: model, settings and what was captured, in a few words.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { TraceData } from "../../src/shared/messages";
import { capturedWords, editedWords, headerFacts, modelWords, settingsWords } from "../../webviews/trace/trace_words";

const shape = { shape: [1, 2, 5, 5], dtype: "torch.float32" };

function trace(
  model: object,
  generation: object,
  tensors: Record<string, { shape: number[]; dtype: string }>,
): TraceData {
  return {
    summary: {
      trace_id: "trace_1",
      timestamp: "",
      prompt: "The",
      response: " end",
      category: null,
      metadata: {},
      model,
      generation,
      data_info: { num_layers: 0, num_tokens: 2, num_steps: 1, intermediate_steps: false, tensors },
    },
    tokens: [],
    analysis: {},
    metrics: {},
    layers: [],
    heads: 0,
    positions: 2,
  } as TraceData;
}

void test("a trace of a changed model says that it is edited", () => {
  const { summary, ...rest } = trace({}, {}, {});
  const edited = (changed: string | null): string => editedWords({ ...rest, summary: { ...summary, changed } });
  assert.deepEqual([null, "edited", "without L3H2"].map(edited), ["", "edited", "edited: without L3H2"]);
});

void test("the model is told by its tag and step, else by where it comes from", () => {
  assert.equal(modelWords(trace({ source: "sft", tag: "d12", step: 2289 }, {}, {})), "d12 · step 2289");
  assert.equal(modelWords(trace({ source: "sft", tag: "" }, {}, {})), "sft");
  assert.equal(modelWords(trace({ tag: 7, step: "8" }, {}, {})), "");
});

void test("settings that had no effect are left out", () => {
  assert.equal(settingsWords(trace({}, { temperature: 0.8, top_k: 50, seed: 42 }, {})), "T 0.8 · top-k 50 · seed 42");
  assert.equal(settingsWords(trace({}, { temperature: 0, top_k: 50, seed: 42 }, {})), "T 0");
  assert.equal(settingsWords(trace({}, { temperature: null, top_k: "50" }, {})), "");
});

void test("what was captured is counted by layers", () => {
  const tensors = {
    "attention_weights.layer_1": shape,
    "attention_weights.layer_3": shape,
    "layer_activations.layer_3.post_mlp": shape,
    "layer_activations.layer_3.post_attn": shape,
  };
  assert.equal(capturedWords(trace({}, {}, tensors)), "attention of 2 layers, activations of 1 layer");
  const residual = { "layer_activations.layer_0.residual": shape, "layer_activations.layer_1.residual": shape };
  assert.equal(capturedWords(trace({ config: { n_layer: 1 } }, {}, residual)), "activations of 1 layer");
  assert.equal(capturedWords(trace({}, {}, { output_logits: shape })), "logits");
  assert.equal(
    capturedWords(
      trace({}, {}, { "output_logits.values": { ...shape, shape: [1, 3, 20] }, "output_logits.indices": shape }),
    ),
    "top 20 logits",
  );
  assert.equal(capturedWords(trace({}, {}, {})), "tokens alone");
});

void test("facts that are not known take no room", () => {
  assert.deepEqual(
    headerFacts(trace({}, {}, {})).map(({ name }) => name),
    ["Tokens", "Captured"],
  );
});
