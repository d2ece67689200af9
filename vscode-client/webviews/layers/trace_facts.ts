// What is known of a trace beside its numbers: the model, the settings, how long it took.

import type { TraceData } from "../../src/shared/messages";
import { quantity, seconds, threeDigits } from "../common/number_text";

export interface Facts {
  title: string;
  rows: [name: string, value: string][];
}

type Values = Record<string, unknown>;
type Format = (value: unknown) => string | null;

interface Row {
  key: string;
  name: string;
  format?: Format;
}

const plain: Format = (value) => (typeof value === "string" || typeof value === "number" ? String(value) : null);
const duration: Format = (value) => (typeof value === "number" ? seconds(value) : null);
const number: Format = (value) => (typeof value === "number" ? threeDigits(value) : null);
const count: Format = (value) => (typeof value === "number" ? quantity(value) : null);
const words: Format = (value) => (typeof value === "string" ? value.replaceAll("_", " ") : null);
const dtype: Format = (value) => (typeof value === "string" ? value.replace(/^torch\./, "") : null);

const MODEL: readonly Row[] = [
  { key: "source", name: "Source" },
  { key: "tag", name: "Tag" },
  { key: "step", name: "Step" },
  { key: "era", name: "Era" },
  { key: "note", name: "Note" },
  { key: "path", name: "From" },
  { key: "parameters", name: "Parameters", format: count },
  { key: "n_layer", name: "Layers" },
  { key: "n_head", name: "Heads" },
  { key: "n_embd", name: "Width" },
  { key: "sequence_len", name: "Context" },
  { key: "window_pattern", name: "Windows" },
  { key: "dtype", name: "Computed in", format: dtype },
  { key: "device", name: "Device" },
];
const SETTINGS: readonly Row[] = [
  { key: "max_tokens", name: "Most tokens" },
  { key: "temperature", name: "Temperature" },
  { key: "top_k", name: "Top k" },
  { key: "seed", name: "Seed" },
  { key: "stop_reason", name: "Stopped by", format: words },
];
const TIMINGS: readonly Row[] = [
  { key: "prefill_seconds", name: "Prompt", format: duration },
  { key: "decode_seconds", name: "Writing", format: duration },
  { key: "tokens_per_second", name: "Tokens a second", format: number },
  { key: "analysis_seconds", name: "Analysis", format: duration },
  { key: "save_seconds", name: "Saving", format: duration },
];

export function traceFacts({ summary, tokens }: TraceData): Facts[] {
  const generation = object(summary.generation);
  const model = object(summary.model);
  const written = tokens.filter((token) => token.generated).length;
  const groups: Facts[] = [
    {
      title: "Trace",
      rows: [
        ["Category", summary.category ?? "none"],
        ["Made", timeText(summary.timestamp)],
        ["Tokens", `${tokens.length - written} of the prompt, ${written} written`],
        ["Id", summary.trace_id],
      ],
    },
    { title: "Model", rows: rowsOf(MODEL, { ...object(model.config), ...model }) },
    { title: "Settings", rows: rowsOf(SETTINGS, generation) },
    { title: "Timings", rows: rowsOf(TIMINGS, object(generation.timings)) },
    { title: "Metadata", rows: metadataRows(summary.metadata) },
  ];
  return groups.filter((group) => group.rows.length > 0);
}

function object(value: unknown): Values {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function rowsOf(table: readonly Row[], values: Values): [string, string][] {
  return table.flatMap(({ key, name, format }): [string, string][] => {
    const text = (format ?? plain)(values[key]);
    return text === null ? [] : [[name, text]];
  });
}

/** The caller's own; what the daemon adds is told elsewhere. */
function metadataRows(metadata: Values): [string, string][] {
  return Object.entries(metadata)
    .filter(([key]) => key !== "model_source" && key !== "temperature")
    .map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)]);
}

export function timeText(timestamp: string): string {
  const time = new Date(timestamp);
  return Number.isNaN(time.getTime())
    ? timestamp
    : time.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}
