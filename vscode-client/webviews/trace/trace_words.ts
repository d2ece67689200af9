// A trace in a few words: which model, with which settings, what was captured of it.

import type { TraceData } from "../../src/shared/messages";
import { threeDigits } from "../common/number_text";
import { timeText } from "../layers/trace_facts";

type Values = Record<string, unknown>;

const LAYER = /^([a-z_]+)\.layer_(\d+)/;
const NAMES: readonly [name: string, words: string][] = [
  ["attention_weights", "attention"],
  ["layer_activations", "activations"],
];
const LOGITS = "output_logits";
const TOP_LOGITS = "output_logits.values";

/** d12 · step 2289 */
export function modelWords({ summary: { model } }: TraceData): string {
  const { tag, source, step } = valuesOf(model);
  const name = [tag, source].find((value): value is string => typeof value === "string" && value !== "");
  return [...(name === undefined ? [] : [name]), ...(typeof step === "number" ? [`step ${step}`] : [])].join(" · ");
}

/** T 0.8 · top-k 50 · seed 42 */
export function settingsWords({ summary: { generation } }: TraceData): string {
  const { temperature, top_k, seed } = valuesOf(generation);
  const settings: readonly [string, unknown][] = [
    ["T", temperature],
    ["top-k", temperature === 0 ? null : top_k],
    ["seed", temperature === 0 ? null : seed],
  ];
  return settings
    .flatMap(([name, value]) =>
      typeof value === "number" ? [`${name} ${Number(threeDigits(value).replaceAll(",", ""))}`] : [],
    )
    .join(" · ");
}

/** Captured: attention of 4 layers, activations of 4, logits */
export function capturedWords({ summary: { data_info, model } }: TraceData): string {
  const names = Object.keys(data_info.tensors);
  const { n_layer } = valuesOf(valuesOf(model).config);
  // The residual has one more: what comes after the last.
  const isLayer = (layer: string | undefined): boolean => typeof n_layer !== "number" || Number(layer) < n_layer;
  const parts = NAMES.flatMap(([name, words]) => {
    const layers = new Set(
      names.flatMap((one) => (LAYER.exec(one)?.[1] === name ? [LAYER.exec(one)?.[2]] : [])).filter(isLayer),
    );
    return layers.size === 0 ? [] : [`${words} of ${layers.size} ${layers.size === 1 ? "layer" : "layers"}`];
  });
  const top = data_info.tensors[TOP_LOGITS]?.shape?.at(-1);
  const logits = top !== undefined ? [`top ${top} logits`] : LOGITS in data_info.tensors ? ["logits"] : [];
  return [...parts, ...logits].join(", ") || "tokens alone";
}

/** Edited: without L3H2; nothing where nothing was changed. */
export function editedWords({ summary: { changed } }: TraceData): string {
  return changed == null || changed === "" ? "" : changed === "edited" ? "edited" : `edited: ${changed}`;
}

/** What stands below the prompt, each fact with what it is. */
export function headerFacts(trace: TraceData): { name: string; text: string }[] {
  const written = trace.tokens.filter((token) => token.generated).length;
  const facts = [
    { name: "Edited", text: editedWords(trace) },
    { name: "Model", text: modelWords(trace) },
    { name: "Settings", text: settingsWords(trace) },
    { name: "Tokens", text: `${trace.tokens.length - written} + ${written} tokens` },
    { name: "Captured", text: capturedWords(trace) },
    { name: "Made", text: timeText(trace.summary.timestamp) },
  ];
  return facts.filter(({ text }) => text !== "");
}

function valuesOf(value: unknown): Values {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
