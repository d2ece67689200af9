// What is asked of the daemon to capture a trace's prompt again with attention.

import assert from "node:assert/strict";
import { test } from "node:test";
import { againParams } from "../src/captured_again";
import type { Tensor, TokenRow } from "../src/protocol";
import type { TraceData } from "../src/shared/messages";

const row = (text: string, position: number, generated: boolean): TokenRow => ({
  position,
  id: position,
  text,
  forced: false,
  generated,
  surprisal: null,
  top: [],
});
const tensor = (...shape: number[]): Tensor => ({ shape, dtype: "torch.float32" });

function traceOf(prompt: readonly string[], tensors: Record<string, Tensor>): TraceData {
  const tokens = [
    ...prompt.map((text, position) => row(text, position, false)),
    row(" Au", prompt.length, true),
    row(".", prompt.length + 1, true),
  ];
  return {
    summary: {
      trace_id: "trace_1",
      timestamp: "2026-01-01T12:00:00",
      prompt: prompt.slice(1).join(""),
      response: " Au.",
      category: "metals",
      metadata: {},
      model: { source: "demo", dtype: "torch.float32", config: { n_layer: 4 } },
      generation: { max_tokens: 8, temperature: 0.5, top_k: null, seed: 7, stop_reason: "end" },
      data_info: {
        num_layers: 0,
        num_tokens: tokens.length - 1,
        num_steps: 2,
        intermediate_steps: false,
        tensors,
      },
    },
    tokens,
    analysis: {},
    metrics: {},
    layers: [],
    heads: 0,
    positions: tokens.length - 1,
  };
}

const PLAIN = ["<|bos|>", "Gold", " is"];
const activations = (layers: readonly number[]) =>
  Object.fromEntries(layers.map((layer) => [`layer_activations.layer_${layer}.post_mlp`, tensor(1, 4, 8)]));

void test("the same prompt, settings and sites, and attention", () => {
  const trace = traceOf(PLAIN, { ...activations([0, 1, 2, 3]), token_embeddings: tensor(1, 4, 8) });
  assert.deepEqual(againParams(trace), {
    prompt: "Gold is",
    max_tokens: 8,
    temperature: 0.5,
    top_k: null,
    seed: 7,
    category: "metals",
    capture: { sites: ["attention_weights", "post_mlp", "token_embeddings"], logits: null },
  });
});

void test("the same layers, unless others are wanted; none that the model does not have", () => {
  const trace = traceOf(PLAIN, activations([3, 1]));
  assert.deepEqual(againParams(trace).capture?.layers, [1, 3]);
  assert.deepEqual(againParams(trace, [2, 9]).capture?.layers, [2]);
  assert.equal(againParams(traceOf(PLAIN, {})).capture?.layers, undefined);
});

void test("the same logits and the same dtype", () => {
  const logits = (tensors: Record<string, Tensor>) => againParams(traceOf(PLAIN, tensors)).capture?.logits;
  assert.equal(logits({ output_logits: tensor(1, 2, 512) }), "generated");
  assert.equal(logits({ output_logits: tensor(1, 4, 512) }), "all");
  assert.equal(logits({ "output_logits.values": tensor(1, 4, 20) }), 20);
  assert.equal(againParams(traceOf(PLAIN, activations([0]))).capture?.dtype, undefined);
  const half = { "layer_activations.layer_0.post_mlp": { shape: [1, 4, 8], dtype: "torch.float16" } };
  assert.equal(againParams(traceOf(PLAIN, half)).capture?.dtype, "float16");
});

void test("a chat is a chat again, with all that was said", () => {
  const said = ["<|user_start|>", "Hi", "<|user_end|>", "<|assistant_start|>", "Yes", "?", "<|assistant_end|>"];
  const trace = traceOf(["<|bos|>", ...said, "<|user_start|>", "Gold", "?", "<|user_end|>", "<|assistant_start|>"], {});
  assert.deepEqual(againParams(trace).messages, [
    { role: "user", content: "Hi" },
    { role: "assistant", content: "Yes?" },
    { role: "user", content: "Gold?" },
  ]);
  assert.equal(againParams(trace).prompt, undefined);
  const pieces = traceOf(["<|bos|>", "<|user_start|>", "\\xc3", "\\xa9", "<|user_end|>", "<|assistant_start|>"], {});
  pieces.tokens.slice(2, 4).forEach((token, index) => (token.piece = { text: "é", index, count: 2 }));
  assert.deepEqual(againParams(pieces).messages, [{ role: "user", content: "é" }]);
});

void test("a chat that used the calculator cannot be told again", () => {
  const said = ["<|user_start|>", "1+1", "<|user_end|>", "<|assistant_start|>", "<|python_start|>", "1+1"];
  assert.throws(() => againParams(traceOf(["<|bos|>", ...said], {})), /cannot be captured again/);
});
