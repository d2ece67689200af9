// How a trace was captured, told from the trace itself, so that its prompt can be captured again with attention.

import type { Capture, GenerateAndCaptureParams, Message, TokenRow } from "./protocol";
import { Problem } from "./problems";
import type { TraceData } from "./shared/messages";

const ACTIVATION = /^layer_activations\.layer_(\d+)\.(\w+)$/;
const OF_LAYERS = /^(attention_weights|value_norms)\.layer_(\d+)$/;
const ALONE = /^(token_embeddings|final_residual)$/;
const WEIGHTS = "attention_weights";
const CHAT = "<|user_start|>";
const ROLES = { user: CHAT, assistant: "<|assistant_start|>" } as const;
const SPECIAL = /^<\|\w+\|>$/;

type Values = Record<string, unknown>;

/**
 * The same prompt, settings, sites and layers, and attention weights in any case.
 *
 * @param layers those whose attention is wanted, where they are not the trace's own
 */
export function againParams(trace: TraceData, layers?: readonly number[]): GenerateAndCaptureParams {
  const { summary, tokens } = trace;
  const asked = valuesOf(summary.generation);
  const { max_tokens, temperature, top_k, seed } = asked;
  return {
    ...(isChat(tokens) ? { messages: messagesOf(tokens) } : { prompt: summary.prompt }),
    ...(typeof max_tokens === "number" ? { max_tokens } : {}),
    ...(typeof temperature === "number" ? { temperature } : {}),
    ...(typeof top_k === "number" || top_k === null ? { top_k } : {}),
    ...(typeof seed === "number" ? { seed } : {}),
    ...(summary.category === null ? {} : { category: summary.category }),
    ...(summary.data_info.intermediate_steps ? { capture_intermediate_steps: true } : {}),
    capture: captureOf(trace, layers),
  };
}

function captureOf(trace: TraceData, wanted?: readonly number[]): Capture {
  const { tensors } = trace.summary.data_info;
  const model = valuesOf(trace.summary.model);
  const count = valuesOf(model.config).n_layer;
  const sites = new Set([WEIGHTS]);
  const captured = new Set<number>();
  for (const name of Object.keys(tensors)) {
    const [, inLayer, site] = ACTIVATION.exec(name) ?? [];
    const [, ofLayers, layer = inLayer] = OF_LAYERS.exec(name) ?? [];
    const found = site ?? ofLayers ?? ALONE.exec(name)?.[1];
    if (found !== undefined) {
      sites.add(found);
    }
    if (layer !== undefined) {
      captured.add(Number(layer));
    }
  }
  const isThere = (layer: number): boolean => typeof count !== "number" || layer < count;
  const layers = [...(wanted ?? captured)].filter(isThere).sort((a, b) => a - b);
  const dtype = storedDtype(trace, model.dtype);
  return {
    sites: [...sites],
    ...(layers.length === 0 || layers.length === count ? {} : { layers }),
    logits: logitsOf(trace),
    ...(dtype === undefined ? {} : { dtype }),
  };
}

/** Which rows of logits were kept. */
function logitsOf({ summary, tokens }: TraceData): "all" | "generated" | number | null {
  const { tensors } = summary.data_info;
  const likeliest = tensors["output_logits.values"]?.shape?.at(-1);
  if (likeliest !== undefined) {
    return likeliest;
  }
  const rows = tensors.output_logits?.shape?.at(-2);
  return rows === undefined ? null : rows > tokens.filter(({ generated }) => generated).length ? "all" : "generated";
}

/** Undefined where the tensors are as the model computed them. */
function storedDtype({ summary }: TraceData, computed: unknown): "float16" | "bfloat16" | undefined {
  const dtypes = new Set(Object.values(summary.data_info.tensors).map(({ dtype }) => dtype));
  const found = (["float16", "bfloat16"] as const).find((dtype) => dtypes.has(`torch.${dtype}`));
  return found === undefined || computed === `torch.${found}` ? undefined : found;
}

function isChat(tokens: readonly TokenRow[]): boolean {
  return tokens.some(({ generated, text }) => !generated && text === CHAT);
}

/** What was said, out of the prompt's tokens; a system message is part of the user's first there, and is rendered so again. */
function messagesOf(tokens: readonly TokenRow[]): Message[] {
  const messages: Message[] = [];
  let open: Message | null = null;
  for (const { text, piece } of tokens.filter(({ generated }) => !generated).slice(1)) {
    const role = (["user", "assistant"] as const).find((name) => ROLES[name] === text);
    if (role !== undefined) {
      open = { role, content: "" };
      messages.push(open);
    } else if (open !== null && text === `<|${open.role}_end|>`) {
      open = null;
    } else if (open === null || SPECIAL.test(text)) {
      throw new Problem(
        "PROMPT_INVALID",
        "This chat has more than text in it: it cannot be captured again from here.",
        [{ label: "Type a Prompt", command: "nanoscope.captureTrace" }],
      );
    } else {
      open.content += piece == null ? text : piece.index === 0 ? piece.text : "";
    }
  }
  return messages.filter(({ role }, index) => role === "user" || index < messages.length - 1);
}

function valuesOf(value: unknown): Values {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
