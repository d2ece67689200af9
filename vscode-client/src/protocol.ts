// What is said on the wire. Generated from protocol/ by `make protocol`: change it there, not here.

/** The protocol that these types are of; `hello` compares it. */
export const PROTOCOL_VERSION = "1";

/** Everything that is said on the wire. */
export interface Protocol {
  methods: Methods;
  notifications: Notifications;
}

/** What is asked and answered. */
export interface Methods {
  /** Say who calls, which versions it expects, which traces folder it uses, and which model it means. */
  hello: {
    params: HelloParams;
    result: HelloResult;
  };
  /** Write on from a prompt or answer a chat, capture what the model does on the way, and keep it as a trace. */
  generate_and_capture: {
    params: GenerateAndCaptureParams;
    result: GenerateAndCaptureResult;
  };
  /** Run a trace's prompt again, with its seed and settings, on a changed model or on another one: a child trace. */
  intervene: {
    params: InterveneParams;
    result: InterveneResult;
  };
  /** Put another token into a trace's text and go on from there, with its seed and settings: a child trace. */
  fork_trace: {
    params: ForkTraceParams;
    result: ForkTraceResult;
  };
  /** The traces of the session's folder, newest first, unreadable ones with the reason. */
  list_traces: {
    params: ListTracesParams;
    result: ListTracesResult;
  };
  /** A trace's statistics: attention and head roles, activations, logits. */
  analyze_trace: {
    params: TraceParams;
    result: AnalyzeTraceResult;
  };
  /** A trace's metadata, and the shape and dtype of each tensor in it. */
  get_summary: {
    params: TraceParams;
    result: TraceSummary;
  };
  /** All of a trace but its tensors: what it is, its tokens and its statistics, in one answer. */
  get_document: {
    params: TraceParams;
    result: TraceDocument;
  };
  /** A tensor of a trace, or a part of it: a head, a step, some rows and columns. */
  get_tensor: {
    params: GetTensorParams;
    result: GetTensorResult;
  };
  /** A head's attention as it is looked at: several heads combined, without the sink, weighted by values. */
  get_attention: {
    params: GetAttentionParams;
    result: GetTensorResult;
  };
  /** Every head's attention as a small picture: the largest weight in each block of cells. */
  get_head_thumbnails: {
    params: GetHeadThumbnailsParams;
    result: GetHeadThumbnailsResult;
  };
  /** A trace's tokens: text, surprisal, and what else was likely. */
  get_tokens: {
    params: TraceParams;
    result: GetTokensResult;
  };
  /** What was likely at one position: every candidate that the trace keeps, not the first five. */
  get_alternatives: {
    params: GetAlternativesParams;
    result: GetAlternativesResult;
  };
  /** Which positions of two traces belong together, and how differently each head looks at them. */
  compare_traces: {
    params: CompareTracesParams;
    result: CompareTracesResult;
  };
  /** What differs between two traces: where they part, and then tokens, heads and sites, as numbers. */
  diff_traces: {
    params: DiffTracesParams;
    result: DiffTracesResult;
  };
  /** What the residual stream would say at every point on its way, and where the answer was decided. */
  logit_lens: {
    params: LogitLensParams;
    result: LogitLensResult;
  };
  /** Who wrote a logit: the embedding, every head and every MLP, as a sum. */
  attribute_logits: {
    params: AttributeLogitsParams;
    result: AttributeLogitsResult;
  };
  /** What carried an answer: parts of a clean prompt's forward put into a corrupted prompt's, a cell at a time. */
  patch_scan: {
    params: PatchScanParams;
    result: PatchScanResult;
  };
  /** What the model would say without each of its heads and MLPs, each switched off alone. */
  ablation_scan: {
    params: AblationScanParams;
    result: AblationScanResult;
  };
  /** What every head of the model does by habit, whatever the text: its roles, found once and kept. */
  scan_heads: {
    params: ScanHeadsParams;
    result: ScanHeadsResult;
  };
  /** Why the model said a token, in ten sentences: how sure it was, where it was decided, by whom, what flips it. */
  why: {
    params: WhyParams;
    result: WhyResult;
  };
  /** Delete a trace from the disk. */
  delete_trace: {
    params: TraceParams;
    result: DeleteTraceResult;
  };
  /** How the daemon is: versions, model, queue, sessions, watchers, memory. */
  get_status: {
    params: GetStatusParams;
    result: GetStatusResult;
  };
  /** The checkpoints that can be loaded, and the model held. */
  list_models: {
    params: NoParams;
    result: ListModelsResult;
  };
  /** Switch to another checkpoint, for all sessions; the one held stays if it cannot be loaded. */
  load_model: {
    params: LoadModelParams;
    result: LoadModelResult;
  };
  /** Cancel a request of one's own that waits or runs; it answers CANCELLED. (Editors send `$/cancelRequest`.) */
  cancel: {
    params: CancelParams;
    result: CancelResult;
  };
  /** End the daemon; without `force` only if nobody else uses it. (An editor's `shutdown` ends its session alone.) */
  shutdown: {
    params: ShutdownParams;
    result: null;
  };
  /** This protocol as an OpenRPC document, with the table of metrics under `x-metrics`. */
  "rpc.discover": {
    params: NoParams;
    result: {
      [k: string]: unknown;
    };
  };
}

/** Who calls, and what it expects. Notifications are pushed to a line client from its hello on. */
export interface HelloParams {
  /** The protocol that the client speaks: another daemon's is refused. */
  protocol_version?: string | null;
  /** The nanoscope that the client is of: another daemon is refused. */
  package_version?: string | null;
  /** Of the settings that choose the model; empty: any will do. */
  fingerprint?: string;
  /** The client's name, which `get_status` shows. */
  client_name?: string;
  /** The client's version. */
  client_version?: string;
  /** This session's own traces folder. */
  traces_dir?: string | null;
  /** Push what the daemon tells of its own accord. */
  notifications?: boolean;
  /** Which model must answer this session's requests; by default whichever is held. */
  model?: NamedModel | null;
  /** Where `list_models` and `load_model` look: nanochat's base folder. */
  base_dir?: string | null;
}

/** The model that a client means: what is named is what answers; what is left out does not matter. */
export interface NamedModel {
  /** `base`, `mid`, `sft`, `rl`, `demo`, or a folder. */
  source?: string | null;
  /** Which of the source's models. */
  tag?: string | null;
  /** The training step of a checkpoint. */
  step?: number | null;
  /** The architecture, by the letter that nanoscope gives it. */
  era?: string | null;
  /** `cpu`, `cuda` or `mps`. */
  device?: string | null;
  /** What is computed in. */
  dtype?: ("bfloat16" | "float16" | "float32") | null;
  /** The layers' windows, such as SSSL, where the checkpoint does not record them. */
  window_pattern?: string | null;
  /** nanochat's base folder that it is of. */
  base_dir?: string | null;
}

/** Who answers. */
export interface HelloResult {
  /** The protocol's version. */
  protocol_version: string;
  /** nanoscope's version. */
  package_version: string;
  /** Of the settings that chose the daemon's first model. */
  fingerprint: string;
  /** The client's number, while the daemon lives. */
  session: number;
  /** The daemon's process. */
  pid: number;
  /** The traces folder. */
  traces_dir: string;
  /** nanochat's base folder for this session. */
  base_dir?: string;
}

/** Give either `prompt` or `messages`. */
export interface GenerateAndCaptureParams {
  /** Plain text to go on from. */
  prompt?: string | null;
  /** A chat that ends with the user's message. */
  messages?: Message[] | null;
  /** A name to find the trace by; `general` by default. */
  category?: string | null;
  /**
   * Anything of the caller's own, kept exactly: up to 2 MiB as JSON, 64 levels deep, whole numbers of up to 1,000 digits.
   */
  metadata?: {
    [k: string]: unknown;
  } | null;
  /** Stops there, or at an end token; 0 looks at the prompt alone. */
  max_tokens?: number;
  /** 0 takes the likeliest token. */
  temperature?: number;
  /** Draw from the k likeliest; 0 or null: from all. */
  top_k?: number | null;
  /** The same seed writes the same text, with or without a capture. */
  seed?: number;
  /** Spell the generation's steps out, in a JSON trace. */
  capture_intermediate_steps?: boolean;
  /** What to capture: all layers, the usual sites and the generated tokens' logits by default. */
  capture?: Capture | null;
  /** What to change on the way; what is captured has it in it. */
  interventions?: Intervention[] | null;
  /** How the trace is kept; by default as the daemon is set. */
  format?: ("json" | "safetensors") | null;
  /** Send `generation_progress` with every token. */
  stream?: boolean;
}

/** One turn of a chat. */
export interface Message {
  /** Who says it. */
  role: "assistant" | "system" | "user";
  /** What is said. */
  content: string;
}

/** Narrows what is captured; what is left out is as by default. */
export interface Capture {
  /** These layers alone; all by default. */
  layers?: number[] | null;
  /** Such as attention_weights, post_mlp, residual, q. */
  sites?: string[] | null;
  /** The row of each generated token, of every position, the top K of every position, or none. */
  logits?: ("all" | "generated") | number | null;
  /** What the tensors are stored as; as computed by default. */
  dtype?: ("bfloat16" | "float16" | "float32") | null;
}

/** One change of what the model computes at a site. */
export interface Intervention {
  /**
   * Put zeros there, or a mean of what the model computes there without interventions, by default over the prompt's positions; multiply by `value`, add it, or put it there.
   */
  op: "add" | "mean" | "scale" | "set" | "zero";
  /** Such as head_output, post_mlp, residual, q, mlp_hidden, attention_weights. */
  site: string;
  /** Null for token_embeddings and final_residual, which are there once. */
  layer?: number | null;
  /** Which of them; null: all. */
  heads?: number[] | null;
  /** Which of mlp_hidden; null: all. */
  neurons?: number[] | null;
  /**
   * `last` is the prompt's last, where the first token is decided; or a list of positions and [start, stop), counted from 0. Of attention weights they are the queries'.
   */
  positions?: ("all" | "generated" | "last" | "prompt") | (number | [number, number])[];
  /**
   * A number, or a vector as wide as the site, with `neurons` as long as those, of attention weights over the keys from position 0 on; or where they are to be taken from. null for zero, and for a mean over the prompt, which may be called `prompt` as well.
   */
  value?: number | number[] | "prompt" | ValueSource | null;
}

/** Where a value is to be taken from: one of `trace`, `difference` and `mean_over`. */
export interface ValueSource {
  /** What another trace of the same model captured at this site and layer; for add and set. */
  trace?: string | null;
  /** Of the trace, this position's values at all that are changed; null: position by position. */
  position?: number | null;
  /** The first prompt's mean over its positions at this site and layer, minus the second's; for add and set. */
  difference?: [string, string] | null;
  /** What the difference is multiplied by; null: 1. */
  times?: number | null;
  /** The mean over the positions of the prompt that is run, or over all those of these prompts; for mean. */
  mean_over?: "trace" | [string, ...string[]] | null;
}

/** What was written, and where the trace of it is. */
export interface GenerateAndCaptureResult {
  /** The trace, as `list_traces` has it. */
  trace_id: string;
  /** What the model went on from; of a chat, the last message. */
  prompt: string;
  /** What the model wrote. */
  response: string;
  /** How many, the first of all, `<|bos|>`, included. */
  prompt_tokens: number;
  /** How many, the one that ended it included. */
  response_tokens: number;
  /** The caller's own, with the model's source and the temperature. */
  metadata: {
    [k: string]: unknown;
  };
  /** The trace's file. */
  path: string;
  /** Seconds; tokens_per_second. */
  timings: {
    [k: string]: number | null;
  };
  /** The model that wrote. */
  model?: ModelInfo | null;
  /** What was said before the work, such as how large a trace is. */
  notices?: string[];
  /** The trace that it was made from, by `intervene` or `fork_trace`; null: it is nobody's child. */
  parent?: string | null;
  /** What was changed while it was made, as it can be sent again. */
  interventions?: {
    [k: string]: unknown;
  }[];
  /** Of each intervention, how many positions it touched. */
  touched?: number[];
  /** As `get_summary` gives it. */
  summary: TraceSummary;
}

/** What the daemon holds, or is about to. */
export interface ModelInfo {
  /** Whether it can be used. */
  state: "failed" | "loading" | "ready" | "unloaded";
  /** `base`, `mid`, `sft`, `rl`, `demo`, or a folder. */
  source?: string | null;
  /** Which of the source's models. */
  tag?: string | null;
  /** The training step of a checkpoint. */
  step?: number | null;
  /** The architecture, by the letter that nanoscope gives it. */
  era?: string | null;
  /** Where it lies. */
  path?: string | null;
  /** nanochat's base folder when it was loaded. */
  base_dir?: string | null;
  /** How many numbers it has learned. */
  parameters?: number | null;
  /** How many. */
  layers?: number | null;
  /** Attention heads of a layer. */
  heads?: number | null;
  /** Positions that the model has. */
  context?: number | null;
  /** `cpu`, `cuda` or `mps`. */
  device?: string | null;
  /** What is computed in. */
  dtype?: string | null;
  /** Every choice that was made in loading it where the checkpoint or the folder leaves one open. */
  note?: string | null;
  /** Why loading failed. */
  error?: string | null;
  /** What has changed on the disk since it was loaded, where that was asked for. */
  outdated?: string | null;
}

/**
 * A trace without its tokens, tensors and analysis.
 *
 * `model` and `generation` are null where another program wrote it.
 */
export interface TraceSummary {
  /** The trace, as `list_traces` has it. */
  trace_id: string;
  /** When it was made, ISO 8601, with the offset from UTC; other programs may leave that out. */
  timestamp: string;
  /** What the model went on from; of a chat, the last message. */
  prompt: string;
  /** What the model wrote. */
  response: string;
  /** The name to find it by. */
  category: string | null;
  /** The caller's own, with the model's source and the temperature. */
  metadata: {
    [k: string]: unknown;
  };
  /** Source, era, sizes, dtype and device of the model that wrote. */
  model: {
    [k: string]: unknown;
  } | null;
  /** The settings asked for, why it stopped, and the seconds it took. */
  generation: {
    [k: string]: unknown;
  } | null;
  /** What the trace holds. */
  data_info: DataInfo;
  /** The trace that it was made from, by `intervene` or `fork_trace`; null: it is nobody's child. */
  parent?: string | null;
  /** The position at which its parent was forked; null where it is no fork. */
  position?: number | null;
  /** What was changed, in words, such as `without L3H2`; null where nothing was. */
  changed?: string | null;
  /** What was changed while it was made, as it can be sent again. */
  interventions?: {
    [k: string]: unknown;
  }[];
  /** Of each intervention, how many positions it touched. */
  touched?: number[];
}

/** What a trace holds. */
export interface DataInfo {
  /** Layers that were captured. */
  num_layers: number;
  /** Positions that the model ran over: all tokens but the last, which is not run. */
  num_tokens: number;
  /** Forward passes: the prompt is one, each further token one. */
  num_steps: number;
  /** The file spells its steps out. */
  intermediate_steps: boolean;
  /** By name, such as `attention_weights.layer_0`. */
  tensors: {
    [k: string]: Tensor;
  };
}

/** What a tensor of a trace is; `shape` is null where a foreign file does not tell it. */
export interface Tensor {
  /** The length of each axis. */
  shape: number[] | null;
  /** `torch.float32`, `torch.float16`, `torch.bfloat16`, ... */
  dtype: string;
}

/** Something has to be otherwise than it was: interventions, or the model. */
export interface InterveneParams {
  /** The trace, as `list_traces` has it. */
  trace_id: string;
  /** What to change on the way, in place of what the trace was made with; null: what it was made with. */
  interventions?: Intervention[] | null;
  /**
   * Run it on this model, loaded for this run alone: the one held stays, whoever uses it. Where it did not write the trace, a notice says so, `anyway` or not. What is left out is chosen as `load_model` does. null: on the model held.
   */
  model?: NamedModel | null;
  /** What to capture; null: what the trace has, of a model of another depth by relative depth. */
  capture?: Capture | null;
  /** Run it on the model held, though another one wrote the trace; a notice says so. */
  anyway?: boolean;
  /** Say what it would take, and answer no more than that. */
  estimate?: boolean;
  /** Send `generation_progress` with every token. */
  stream?: boolean;
}

/** As of a generation, the trace being the child's. An estimate has none: its id, path and response are empty. */
export interface InterveneResult {
  /** The trace, as `list_traces` has it. */
  trace_id: string;
  /** What the model went on from; of a chat, the last message. */
  prompt: string;
  /** What the model wrote. */
  response: string;
  /** How many, the first of all, `<|bos|>`, included. */
  prompt_tokens: number;
  /** How many, the one that ended it included. */
  response_tokens: number;
  /** The caller's own, with the model's source and the temperature. */
  metadata: {
    [k: string]: unknown;
  };
  /** The trace's file. */
  path: string;
  /** Seconds; tokens_per_second. */
  timings: {
    [k: string]: number | null;
  };
  /** The model that wrote. */
  model?: ModelInfo | null;
  /** What was said before the work, such as how large a trace is. */
  notices?: string[];
  /** The trace that it was made from, by `intervene` or `fork_trace`; null: it is nobody's child. */
  parent?: string | null;
  /** What was changed while it was made, as it can be sent again. */
  interventions?: {
    [k: string]: unknown;
  }[];
  /** Of each intervention, how many positions it touched. */
  touched?: number[];
  /** As `get_summary` gives it; null for an estimate. */
  summary: TraceSummary | null;
  /** What it would take, where that was asked. */
  cost?: Cost | null;
  /** The first whose token is not the parent's; null: the texts are the same, or an estimate. */
  position?: number | null;
}

/** What a question would take. */
export interface Cost {
  /** Of the whole text. */
  forwards: number;
  /** Of memory beside the model's, about. */
  bytes: number;
  /** About, from the time that a part of it took. */
  seconds: number;
}

/**
 * Another token in a trace's text, or several, and on from there with its seed and settings.
 *
 * Give either `token` or `text`. One that is there already repeats the trace.
 */
export interface ForkTraceParams {
  /** The trace, as `list_traces` has it. */
  trace_id: string;
  /** Where to put it, from 1 on; what is before stays, what follows is written anew. */
  position: number;
  /** What to put there: a number, or a text that is one token. */
  token?: number | string | null;
  /** Or a text of any number of tokens. */
  text?: string | null;
  /** What to change on the way; null: what the trace was made with. */
  interventions?: Intervention[] | null;
  /** How many to write after it at most; null: as many as the trace had left. */
  max_tokens?: number | null;
  /** What to capture; null: what the trace has. */
  capture?: Capture | null;
  /** Run it on the model held, though another one wrote the trace; a notice says so. */
  anyway?: boolean;
  /** Say what it would take, and answer no more than that. */
  estimate?: boolean;
  /** Send `generation_progress` with every token, those that are kept included. */
  stream?: boolean;
}

/** As of a generation, the trace being the child's. An estimate has none: its id, path and response are empty. */
export interface ForkTraceResult {
  /** The trace, as `list_traces` has it. */
  trace_id: string;
  /** What the model went on from; of a chat, the last message. */
  prompt: string;
  /** What the model wrote. */
  response: string;
  /** How many, the first of all, `<|bos|>`, included. */
  prompt_tokens: number;
  /** How many, the one that ended it included. */
  response_tokens: number;
  /** The caller's own, with the model's source and the temperature. */
  metadata: {
    [k: string]: unknown;
  };
  /** The trace's file. */
  path: string;
  /** Seconds; tokens_per_second. */
  timings: {
    [k: string]: number | null;
  };
  /** The model that wrote. */
  model?: ModelInfo | null;
  /** What was said before the work, such as how large a trace is. */
  notices?: string[];
  /** The trace that it was made from, by `intervene` or `fork_trace`; null: it is nobody's child. */
  parent?: string | null;
  /** What was changed while it was made, as it can be sent again. */
  interventions?: {
    [k: string]: unknown;
  }[];
  /** Of each intervention, how many positions it touched. */
  touched?: number[];
  /** As `get_summary` gives it; null for an estimate. */
  summary: TraceSummary | null;
  /** What it would take, where that was asked. */
  cost?: Cost | null;
  /** Where it was forked. */
  position: number;
}

/** Newest first, a page at a time. */
export interface ListTracesParams {
  /** Traces of that category alone. */
  category?: string | null;
  /** Part of a prompt, response or id; case does not matter. */
  text?: string | null;
  /** At most; fewer where their texts are long. */
  limit?: number;
  /** From the page before. */
  cursor?: string | null;
}

/** One page; `cursor` is there while more follow. */
export interface ListTracesResult {
  /** One row a trace. */
  traces: TraceRow[];
  /** Traces that match, on all pages. */
  total: number;
  /** Asks for the next page; null on the last. */
  cursor?: string | null;
}

/** One line of a listing. Long prompts and responses are cut after 4,000 characters. */
export interface TraceRow {
  /** The trace, as `list_traces` has it. */
  trace_id: string;
  /** When it was made, ISO 8601, with the offset from UTC; other programs may leave that out. */
  timestamp: string;
  /** The name to find it by. */
  category: string | null;
  /** What the model went on from; of a chat, the last message. */
  prompt: string;
  /** What the model wrote. */
  response: string;
  /** How many, the first of all, `<|bos|>`, included. */
  prompt_tokens: number;
  /** How many, the one that ended it included. */
  response_tokens: number;
  /** Bytes on disk. */
  size: number;
  /** `json` or `safetensors`. */
  format: string;
  /** Whether it can be opened. */
  readable: boolean;
  /** Why it is not readable. */
  reason: string;
  /** The trace's file. */
  path: string;
  /** Short, such as `d12 · 2289`, or `demo`; null, as below, where the trace does not tell. */
  model?: string | null;
  /** 0 took the likeliest token. */
  temperature?: number | null;
  /** How many tokens were drawn from; 0: from all. */
  top_k?: number | null;
  /** What the random numbers began with. */
  seed?: number | null;
  /** How many tokens were asked for at most. */
  max_tokens?: number | null;
  /** The trace that it was made from, by `intervene` or `fork_trace`; null: it is nobody's child. */
  parent?: string | null;
  /** The position at which its parent was forked; null where it is no fork. */
  position?: number | null;
  /** What was changed, in words, such as `without L3H2`; null where nothing was. */
  changed?: string | null;
}

/** One trace. */
export interface TraceParams {
  /** The trace, as `list_traces` has it. */
  trace_id: string;
}

/** The statistics of a trace. */
export interface AnalyzeTraceResult {
  /** The trace, as `list_traces` has it. */
  trace_id: string;
  /** The caller's own, with the model's source and the temperature. */
  metadata: {
    [k: string]: unknown;
  };
  /** What was computed when the trace was made, or now, where it has none. */
  analysis: Analysis;
  /** What the numbers of heads, layers and tokens are, by their keys. */
  metrics: {
    [k: string]: Metric;
  };
}

/** What is computed of attention, activations and logits. */
export interface Analysis {
  /** Of the attention weights that were captured. */
  attention?: AttentionAnalysis | null;
  /** Of the activations that were captured. */
  activations?: ActivationAnalysis | null;
  /**
   * `mean_logit`, `std_logit`; `top_tokens_per_position` and every metric of tokens by its key, a list each with the generated tokens' numbers; and `prompt`, with the same of the prompt's own tokens.
   */
  logits?: {
    [k: string]: unknown;
  } | null;
}

/** By layer, "0", "1", ... */
export interface AttentionAnalysis {
  /** Layers that were captured. */
  num_layers: number;
  /** By layer: each metric that a layer sums up, and `heads`, a list with every metric by its key. */
  layer_stats: {
    [k: string]: {
      [k: string]:
        | number
        | {
            [k: string]: number | null;
          }[]
        | null;
    };
  };
}

/** By layer and site. */
export interface ActivationAnalysis {
  /** By layer, then by site: every metric of layers by its key. */
  layer_stats: {
    [k: string]: {
      [k: string]: {
        [k: string]: number | null;
      };
    };
  };
}

/** What a number of each head, layer or token is, and how to show it. Newer versions have more of them. */
export interface Metric {
  /**
   * What has such a number: each attention head (`analysis.attention`), each site of each layer (`analysis.activations`), or each token (`analysis.logits`).
   */
  of: "head" | "layer" | "token";
  /** What it is called. */
  label: string;
  /** Its name in a narrow column; '-': it has none. */
  short: string;
  /** What it is, in a sentence. */
  meaning: string;
  /** Such as 'nats'; empty for none. */
  unit?: string;
  /** What to know to read the column. */
  hint?: string;
  /** What its values lie between; null: as far as they go. */
  span?: [number, number] | null;
  /** How a layer sums its heads up; null: it does not. */
  over_heads?: ("max" | "mean") | null;
  /** For scores of what a head does. */
  role?: MetricRole | null;
}

/** What a head with a high score does, and from which score on it is said to. */
export interface MetricRole {
  /** After 'a head that', such as 'looks one token back'. */
  words: string;
  /** The score from which on a head is said to do so. */
  at: number;
}

/** All of a trace but its tensors. */
export interface TraceDocument {
  /** The trace, as `list_traces` has it. */
  trace_id: string;
  /** When it was made, ISO 8601, with the offset from UTC; other programs may leave that out. */
  timestamp: string;
  /** What the model went on from; of a chat, the last message. */
  prompt: string;
  /** What the model wrote. */
  response: string;
  /** The name to find it by. */
  category: string | null;
  /** The caller's own, with the model's source and the temperature. */
  metadata: {
    [k: string]: unknown;
  };
  /** Source, era, sizes, dtype and device of the model that wrote. */
  model: {
    [k: string]: unknown;
  } | null;
  /** The settings asked for, why it stopped, and the seconds it took. */
  generation: {
    [k: string]: unknown;
  } | null;
  /** What the trace holds. */
  data_info: DataInfo;
  /** The trace that it was made from, by `intervene` or `fork_trace`; null: it is nobody's child. */
  parent?: string | null;
  /** The position at which its parent was forked; null where it is no fork. */
  position?: number | null;
  /** What was changed, in words, such as `without L3H2`; null where nothing was. */
  changed?: string | null;
  /** What was changed while it was made, as it can be sent again. */
  interventions?: {
    [k: string]: unknown;
  }[];
  /** Of each intervention, how many positions it touched. */
  touched?: number[];
  /** One row a position, the prompt's first. */
  tokens: TokenRow[];
  /** What was computed when the trace was made, or now, where it has none. */
  analysis: Analysis;
  /** What the numbers of heads, layers and tokens are, by their keys. */
  metrics: {
    [k: string]: Metric;
  };
}

/** One position: surprisal in bits, null where the trace has no logits for it; `top`: what else was likely there. */
export interface TokenRow {
  /** In the whole sequence, from 0, which is `<|bos|>`. */
  position: number;
  /** Its number in the vocabulary. */
  id: number;
  /** Its text; bytes that are not UTF-8 are shown as `\xNN`. */
  text: string;
  /** The calculator chose it, or whoever forked the text, not the model. */
  forced: boolean;
  /** Written, not part of the prompt. */
  generated: boolean;
  /** Bits: -log2 of its probability at temperature 1; null where there are no logits to tell it from. */
  surprisal: number | null;
  /** What was likely there, the likeliest first. */
  top: Alternative[];
  /** Every metric of tokens by its key, where the trace has it. */
  numbers?: {
    [k: string]: number | null;
  };
  /** Where its bytes are part of characters that its neighbours share. */
  piece?: TokenPiece | null;
}

/** A token that could have come, with its logit and its probability at temperature 1. */
export interface Alternative {
  /** Its number in the vocabulary. */
  token: number;
  /** Its text; bytes that are not UTF-8 are shown as `\xNN`. */
  text: string;
  /** At temperature 1. */
  probability: number | null;
  /** Before the softmax. */
  logit?: number | null;
}

/** A token's place among those that share characters: bytes of one character may be spread over several tokens. */
export interface TokenPiece {
  /** Of all of them together, such as 'é'. */
  text: string;
  /** Which of them it is, from 0. */
  index: number;
  /** How many they are. */
  count: number;
}

/**
 * `name` is as `get_summary` lists it, or without its layer: "attention_weights" and `layer` 0.
 *
 * One answer holds 1,048,576 values as lists, or 16 MiB before base64; more is an error that says so.
 */
export interface GetTensorParams {
  /** The trace, as `list_traces` has it. */
  trace_id: string;
  /** As `get_summary` lists it, or without its layer. */
  name: string;
  /** The layer, where `name` has none. */
  layer?: number | null;
  /** Of weights, q, k, v, head_output; its axis and the first are left out. */
  head?: number | null;
  /** The rows of one generation step. */
  step?: number | null;
  /** [start, stop) on the last axis but one; past the end is nothing. */
  rows?: [number, number] | null;
  /** [start, stop) on the last axis. */
  columns?: [number, number] | null;
  /** Nested lists, or bytes, little endian. */
  encoding?: "base64" | "json";
  /** Of base64 data. */
  dtype?: "float16" | "float32" | "uint8";
}

/** `data` is nested lists or base64. uint8 values stand for minimum + value / 255 * (maximum - minimum). */
export interface GetTensorResult {
  /** The length of each axis of what was asked for. */
  shape: number[];
  /** The type of the values. */
  dtype: string;
  /** Nested lists, or base64 of the bytes, row by row, little endian. */
  data: unknown[] | string;
  /** Of uint8: what 0 stands for. */
  minimum?: number | null;
  /** Of uint8: what 255 stands for. */
  maximum?: number | null;
}

/** Each head by itself loses the sink, then is weighted by values; then the heads are combined, in float32. */
export interface GetAttentionParams {
  /** The trace, as `list_traces` has it. */
  trace_id: string;
  /**
   * Layer and head of each.
   *
   * @minItems 1
   * @maxItems 1024
   */
  heads: [[number, number], ...[number, number][]];
  /** What several heads become, cell by cell. */
  combine?: "max" | "mean";
  /** Without position 0: each row is divided by the sum of its other weights. */
  hide_sink?: boolean;
  /** Weights times the L2 norm of the key's value vector; it needs `value_norms` or `v`. */
  value_weighted?: boolean;
  /** [start, stop) of the queries; past the end is nothing. */
  rows?: [number, number] | null;
  /** [start, stop) of the keys. */
  columns?: [number, number] | null;
  /** Nested lists, or bytes, little endian. */
  encoding?: "base64" | "json";
  /** Of base64 data. */
  dtype?: "float16" | "float32" | "uint8";
}

/** Of every layer, or of one: where the trace keeps none, all weights are read, and one layer is there sooner. */
export interface GetHeadThumbnailsParams {
  /** The trace, as `list_traces` has it. */
  trace_id: string;
  /** That layer alone; null: every one that was captured. */
  layer?: number | null;
}

/** By layer; empty where no attention was captured. */
export interface GetHeadThumbnailsResult {
  /** The trace keeps them; else they were made of its weights. */
  kept: boolean;
  /** The first layer first. */
  layers: LayerThumbnails[];
}

/** The heads of one layer. */
export interface LayerThumbnails {
  /** The layer. */
  layer: number;
  /** How many heads it has. */
  heads: number;
  /** Of each side of a picture; cell i begins at position floor(i * positions / cells). */
  cells: number;
  /** Base64 of heads x cells x cells bytes, a row a query: the largest weight there, in 255ths. */
  data: string;
}

/** All positions, the prompt's first. */
export interface GetTokensResult {
  /** The trace, as `list_traces` has it. */
  trace_id: string;
  /** One row a position. */
  tokens: TokenRow[];
}

/** Of one position, the likeliest that the trace keeps logits of. */
export interface GetAlternativesParams {
  /** The trace, as `list_traces` has it. */
  trace_id: string;
  /** In the whole sequence, from 0, which is `<|bos|>`. */
  position: number;
  /** How many, at most; `analyze_trace` and `get_tokens` have five. */
  count?: number;
}

/** What could have come there: none for the first position, and where the trace has no logits for it. */
export interface GetAlternativesResult {
  /** In the whole sequence, from 0, which is `<|bos|>`. */
  position: number;
  /** How many logits the trace keeps of that position. */
  captured: number;
  /** What was likely there, the likeliest first. */
  alternatives: Alternative[];
}

/** Two traces, A and B; long texts take a while: the tokens alone, then a layer at a time show sooner. */
export interface CompareTracesParams {
  /** The trace, as `list_traces` has it. */
  trace_id: string;
  /** B, as `list_traces` has it. */
  other_id: string;
  /** B's folder; null: the session's, as A's is. */
  other_dir?: string | null;
  /** Compare the heads of that layer alone; null: of every layer of both. */
  layer?: number | null;
  /** false: align the tokens, and compare no heads. */
  heads?: boolean;
}

/** The tokens of both texts as one sequence, and the heads that both have. */
export interface CompareTracesResult {
  /** In the order of both texts. */
  pairs: PositionPair[];
  /** Layers captured in both, and the heads that both have; the first layer first. */
  layers: LayerDivergence[];
}

/** Positions that belong together; null where the other text has something here that this one lacks. */
export interface PositionPair {
  /** In A. */
  a: number | null;
  /** In B. */
  b: number | null;
  /** Both are there, and have the same text. */
  same: boolean;
}

/** How differently the heads of one layer look at the two texts. */
export interface LayerDivergence {
  /** The layer. */
  layer: number;
  /**
   * A head each: the mean over paired queries of the Jensen-Shannon divergence, in bits: from 0, alike, to 1, nothing shared; null where no positions are paired.
   */
  heads: (number | null)[];
}

/** Two traces, A and B. Their tensors are read: of long texts it takes a while. */
export interface DiffTracesParams {
  /** The trace, as `list_traces` has it. */
  trace_id: string;
  /** B, as `list_traces` has it. */
  other_id: string;
  /** B's folder; null: the session's, as A's is. */
  other_dir?: string | null;
  /** Say what it would take, and answer no more than that. */
  estimate?: boolean;
}

/** All differences are B's minus A's. An estimate has none: the lists are empty. */
export interface DiffTracesResult {
  /** In the order of both texts. */
  aligned: PositionPair[];
  /** The first position where the texts part; null: they are the same, or an estimate. */
  parted_at: number | null;
  /** One for each pair of `aligned`. */
  tokens: TokenDifference[];
  /** Those captured in both; the first layer first. */
  heads: HeadDifference[];
  /** Those captured in both, and equally wide. */
  sites: SiteDifference[];
  /** What was not captured in both, and which layers stand side by side. */
  notices?: string[];
  /** What it would take, where that was asked. */
  cost?: Cost | null;
}

/** The tokens of one pair of `aligned`. */
export interface TokenDifference {
  /** A's; null where it has none here. */
  a: TokenSide | null;
  /** B's; null where it has none here. */
  b: TokenSide | null;
  /** Of the same text on both sides: B's surprisal minus A's, in bits; else null. */
  difference: number | null;
}

/** A token of one of the traces. */
export interface TokenSide {
  /** In the whole sequence, from 0, which is `<|bos|>`. */
  position: number;
  /** Its number in the vocabulary. */
  token: number;
  /** Its text; bytes that are not UTF-8 are shown as `\xNN`. */
  text: string;
  /** Bits: -log2 of its probability at temperature 1; null where there are no logits to tell it from. */
  surprisal: number | null;
  /** At temperature 1; null with the surprisal. */
  probability: number | null;
}

/** A head of A and of B. */
export interface HeadDifference {
  /** A's layer. */
  layer: number;
  /** B's: another where the models are not equally deep. */
  other_layer: number;
  /** Which of the layer. */
  head: number;
  /** As `compare_traces` has it, in bits: from 0, alike, to 1, nothing shared. */
  divergence: number | null;
  /** By the keys of the metrics of heads, B's minus A's, where both have it. */
  numbers: {
    [k: string]: number;
  };
}

/** A site of A and of B, over the positions that are paired; null where none are. */
export interface SiteDifference {
  /** Such as residual, post_attn, post_mlp. */
  site: string;
  /** A's layer; null for a site that is there once. */
  layer: number | null;
  /** B's: another where the models are not equally deep. */
  other_layer: number | null;
  /** The mean cosine distance: 0 alike, 1 orthogonal, 2 opposite. */
  cosine: number | null;
  /** The mean length (L2) of B's minus A's. */
  norm: number | null;
  /** That as a share of the mean length of A's. */
  share: number | null;
}

/** A trace, and what to read of it; the model runs its tokens once more. */
export interface LogitLensParams {
  /** The trace, as `list_traces` has it. */
  trace_id: string;
  /** Where to read; null: at every token. */
  positions?: number[] | null;
  /** These and the output; null: all, and the embedding. */
  layers?: number[] | null;
  /** So many of the likeliest tokens at each point. */
  top?: number;
  /**
   * Tokens to follow beside the text's own next one: numbers, or texts that are one token.
   *
   * @maxItems 100
   */
  tokens?: (number | string)[];
  /** Answer also where another model wrote the trace; the result says so. */
  anyway?: boolean;
  /** Say what it would take, and answer no more than that. */
  estimate?: boolean;
}

/** What the model would say if the rest of it added nothing. The output's numbers are the model's own. */
export interface LogitLensResult {
  /** In the order of the stream; empty for an estimate. */
  points: LensPoint[];
  /** By position; empty for an estimate. */
  decided: LensDecided[];
  /** The model that answers. */
  model: ModelInfo;
  /** How it differs from the one that wrote the trace, where it does. */
  other_model?: string | null;
  /** What it would take, where that was asked. */
  cost?: Cost | null;
}

/** What the stream says at one point, by position. */
export interface LensPoint {
  /** The layer; null for the embedding and the output. */
  layer: number | null;
  /** What it comes after. `output`: what the final norm reads. */
  at: "attention" | "embedding" | "mlp" | "output";
  /**
   * Era F above mid-depth: true, read without the stream at mid-depth, which the end takes off; false, read as it is. null: there is one reading.
   */
  backout: boolean | null;
  /** In their order. */
  positions: LensBelief[];
}

/** What the stream says at one point and position. */
export interface LensBelief {
  /** Where the stream is read, from 0, which is `<|bos|>`; it foretells the token at the next position. */
  position: number;
  /** The likeliest tokens, the likeliest first. */
  top: Alternative[];
  /** The text's own next token, where it has one, then those asked for. */
  chosen: LensChance[];
  /** Kullback-Leibler divergence from the output's distribution, in nats: 0 where they agree. */
  kl: number;
  /** Of its own distribution, in nats: how unsure it is. */
  entropy: number;
}

/** What is thought of one token. */
export interface LensChance {
  /** Its number in the vocabulary. */
  token: number;
  /** Its text; bytes that are not UTF-8 are shown as `\xNN`. */
  text: string;
  /** After the softcap. */
  logit: number;
  /** At temperature 1. */
  probability: number;
  /** 1: the likeliest. */
  rank: number;
}

/** Where the final answer leads; by the reading with backout, where there are two. */
export interface LensDecided {
  /** Where the stream is read, from 0, which is `<|bos|>`; it foretells the token at the next position. */
  position: number;
  /** The final answer, the likeliest token at the output. */
  token: number;
  /** Its text; bytes that are not UTF-8 are shown as `\xNN`. */
  text: string;
  /** The first point, of those read, at which it is the likeliest. */
  first: PointName;
  /** The point from which on it always is. */
  stays: PointName;
}

/** A point of the residual stream. */
export interface PointName {
  /** The layer; null for the embedding and the output. */
  layer: number | null;
  /** What it comes after. `output`: what the final norm reads. */
  at: "attention" | "embedding" | "mlp" | "output";
  /**
   * Era F above mid-depth: true, read without the stream at mid-depth, which the end takes off; false, read as it is. null: there is one reading.
   */
  backout: boolean | null;
}

/** A position of a trace, and whose logit there; the model runs the tokens up to it once more. */
export interface AttributeLogitsParams {
  /** The trace, as `list_traces` has it. */
  trace_id: string;
  /** Where the stream is read, from 0, which is `<|bos|>`; it foretells the token at the next position. */
  position: number;
  /** Whose logit: a number, or a text that is one token; null: the text's own next token. */
  token?: number | string | null;
  /** The difference to this token's; null: the logit itself. */
  against?: number | string | null;
  /** So many of each MLP's strongest neurons stand by themselves. */
  neurons?: number;
  /** So many of the positions that a head read from, the strongest. */
  sources?: number;
  /** Answer also where another model wrote the trace; the result says so. */
  anyway?: boolean;
  /** Say what it would take, and answer no more than that. */
  estimate?: boolean;
}

/** The logit as a sum, the final norm's scale frozen: what each part wrote itself, not what others made of it. */
export interface AttributeLogitsResult {
  /** Where the stream is read, from 0, which is `<|bos|>`; it foretells the token at the next position. */
  position: number;
  /** Whose logit. */
  token: number;
  /** Its text; bytes that are not UTF-8 are shown as `\xNN`. */
  text: string;
  /** The other token of a difference. */
  against: number | null;
  /** Its text. */
  against_text: string | null;
  /** Before the softcap; null for an estimate. */
  total: number | null;
  /** The model's own, after the softcap; null for an estimate. */
  logit: number | null;
  /** By how much the components do not sum to the total. */
  error: number | null;
  /** All of them; empty for an estimate. */
  components: LogitComponent[];
  /** The model that answers. */
  model: ModelInfo;
  /** How it differs from the one that wrote the trace, where it does. */
  other_model?: string | null;
  /** What it would take, where that was asked. */
  cost?: Cost | null;
}

/** One part of the sum; a head in a layer with value embeddings has two, an embedding in era F too. */
export interface LogitComponent {
  /**
   * `x0`: the embedding that a layer mixes in again. `neuron`: a strong one, then no part of its `mlp`. `backout`: the stream at half depth, which the end takes off.
   */
  kind: "backout" | "embedding" | "head" | "mlp" | "neuron" | "x0";
  /** Before the softcap; times logit / total it is its share of the logit. */
  value: number;
  /** The layer that wrote it; of `backout` the last that it holds. */
  layer?: number | null;
  /** The head. */
  head?: number | null;
  /** The neuron, from 0. */
  neuron?: number | null;
  /**
   * Of an embedding the token's own, or what was smeared from the one before it; of a head what the projected values brought, or the value embeddings; of an MLP the rest beside its neurons.
   */
  part?: ("own" | "projected" | "rest" | "smeared" | "value_embedding") | null;
  /** The positions that it was read from, the strongest first. */
  sources?: LogitSource[];
  /** What of it the end takes off, a part of the component `backout`; null where it takes nothing. */
  backout?: number | null;
}

/** A position that something was read from. */
export interface LogitSource {
  /** In the whole sequence, from 0. */
  position: number;
  /** Its part of the component's value. */
  value: number;
}

/** Two prompts of the same number of tokens, and the two tokens whose logits are compared after them. */
export interface PatchScanParams {
  /** After this one the answer comes. */
  clean: PatchPrompt;
  /** After this one it does not; parts of the clean one are put into it. */
  corrupted: PatchPrompt;
  /** The token that comes after the clean prompt: a number, or a text that is one token. */
  answer: number | string;
  /** The token that it is compared with, such as the corrupted prompt's. */
  against: number | string;
  /**
   * What is put in. `heads`: a head's output at all positions. `attention`, `mlp`: what that wrote at one position. `residual`: the stream that a layer reads, at one position. `paths`: what a head gives the `receiver` directly, all else that this reads being as corrupted.
   */
  what?: "attention" | "heads" | "mlp" | "paths" | "residual";
  /** `gradient`: all cells from one backward, to first order, which is an approximation. */
  method?: "exact" | "gradient";
  /** These alone; null: all. */
  layers?: number[] | null;
  /** Of `paths`, and needed there. */
  receiver?: PatchReceiver | null;
  /** Answer also where another model wrote the trace; the result says so. */
  anyway?: boolean;
  /** Say what it would take, and answer no more than that. */
  estimate?: boolean;
  /** Send `request_progress` as it goes. */
  stream?: boolean;
}

/** A prompt: a text, a chat, or that of a trace; give one of them. */
export interface PatchPrompt {
  /** Plain text. */
  prompt?: string | null;
  /** A chat that ends with the user's message. */
  messages?: Message[] | null;
  /** The prompt of this trace. */
  trace_id?: string | null;
}

/** The head that a path leads to. */
export interface PatchReceiver {
  /** Its layer, 1 or later. */
  layer: number;
  /** The head. */
  head: number;
  /** By what it reads: its queries, keys or values. */
  input: "k" | "q" | "v";
}

/** How far each patch brings the corrupted prompt's answer to the clean one's. */
export interface PatchScanResult {
  /** As it was asked. */
  what: string;
  /** As it was asked; `gradient` is an approximation. */
  method: string;
  /** The token that comes after the clean prompt. */
  answer: PatchToken;
  /** The token that it is compared with. */
  against: PatchToken;
  /** The clean prompt. */
  clean: PatchToken[];
  /** The corrupted one. */
  corrupted: PatchToken[];
  /** Null for an estimate. */
  baseline: PatchBaseline | null;
  /** By the axes: 0 as corrupted, 1 as clean; less than 0 is away from the clean one. Empty for an estimate. */
  effects: number[][];
  /** Of the rows, then of the columns. */
  axes: PatchAxis[];
  /** Of `gradient`: its largest difference from the exact effect, in the cells `checked`. */
  worst_error: number | null;
  /** Those cells, as numbers of the axes: the strongest. */
  checked: [number, number][];
  /** The model that answers. */
  model: ModelInfo;
  /** How it differs from the one that wrote a trace, where it does. */
  other_model?: string | null;
  /** What it would take, where that was asked. */
  cost?: Cost | null;
  /** Of `paths`: layer.head and by what it reads, such as 3.1.v. */
  receiver?: string | null;
}

/** A token of a prompt. */
export interface PatchToken {
  /** Its number in the vocabulary. */
  token: number;
  /** Its text; bytes that are not UTF-8 are shown as `\xNN`. */
  text: string;
}

/** The answer's logit minus the other token's at the last position, after the softcap, without a patch. */
export interface PatchBaseline {
  /** After the clean prompt. */
  clean: number;
  /** After the corrupted one. */
  corrupted: number;
}

/** What rows or columns are. */
export interface PatchAxis {
  /** What they number. */
  name: "head" | "layer" | "position";
  /** The number of each. */
  values: number[];
}

/** A position of a trace; the model runs the tokens up to it as often as it has heads and MLPs, and once more. */
export interface AblationScanParams {
  /** The trace, as `list_traces` has it. */
  trace_id: string;
  /** Where the stream is read, from 0, which is `<|bos|>`; it foretells the token at the next position. */
  position: number;
  /** Asked about: a number, or a text that is one token; null: the text's own next token. */
  token?: number | string | null;
  /** Logits are the differences to this token's; null: themselves. */
  against?: number | string | null;
  /** Their heads and MLPs alone; null: all. */
  layers?: number[] | null;
  /** So many of the likeliest tokens of each outcome. */
  top?: number;
  /** Answer also where another model wrote the trace; the result says so. */
  anyway?: boolean;
  /** Say what it would take, and answer no more than that. */
  estimate?: boolean;
}

/** What an answer hangs on, whoever wrote it. Two parts that do each other's work may both look needless. */
export interface AblationScanResult {
  /** Where the stream is read, from 0, which is `<|bos|>`; it foretells the token at the next position. */
  position: number;
  /** The one asked about. */
  token: number;
  /** Its text; bytes that are not UTF-8 are shown as `\xNN`. */
  text: string;
  /** The other token of a difference. */
  against: number | null;
  /** Its text. */
  against_text: string | null;
  /** With nothing switched off; null for an estimate. */
  baseline: AblationOutcome | null;
  /** In the order of the model, each layer's MLP last; empty for an estimate. */
  effects: AblationEffect[];
  /** The model that answers. */
  model: ModelInfo;
  /** How it differs from the one that wrote the trace, where it does. */
  other_model?: string | null;
  /** What it would take, where that was asked. */
  cost?: Cost | null;
}

/** What is foretold at the position. */
export interface AblationOutcome {
  /** Of the token asked about, after the softcap; or its lead on `against`. */
  logit: number;
  /** Of the token asked about, at temperature 1. */
  probability: number;
  /** Of the token asked about; 1: the likeliest. */
  rank: number;
  /** The likeliest tokens, the likeliest first. */
  top: Alternative[];
}

/** What becomes of the answer without one head or MLP: its output is zero. */
export interface AblationEffect {
  /** The layer. */
  layer: number;
  /** The head; null: the layer's MLP. */
  head: number | null;
  /** Switched off at all positions. */
  everywhere: AblationOutcome;
  /**
   * Switched off at the position alone. Where this changes little and `everywhere` much, it did its work at earlier tokens.
   */
  here: AblationOutcome;
  /** Where the head looks from the position, the strongest three first. */
  looked: Looked[];
}

/** A position that a head reads from. */
export interface Looked {
  /** In the whole sequence, from 0, which is `<|bos|>`. */
  position: number;
  /** The attention weight, 0 to 1. */
  weight: number;
}

/** Of the model that the session names. */
export interface ScanHeadsParams {
  /** Switch each head off too, and see what is still foretold, which takes longest. */
  ablate?: boolean;
}

/** Roles as properties of the model, found on `<|bos|>` + r + r: ten draws of 25 random tokens r. */
export interface ScanHeadsResult {
  /** The share of repeated tokens that the whole model foretells. */
  accuracy: number;
  /** In the order of the model. */
  heads: HeadHabit[];
  /** What the roles are. */
  roles: HeadRole[];
  /** The model that answers. */
  model: ModelInfo;
}

/** What one head does on random tokens that repeat. */
export interface HeadHabit {
  /** The layer. */
  layer: number;
  /** The head. */
  head: number;
  /** By role, the mean weight where the role looks, 0 to 1. */
  scores: {
    [k: string]: number;
  };
  /** Those that it has, the strongest first; most heads have none. */
  roles: string[];
  /** The share of repeated tokens that the model foretells without it; null: not tried. */
  accuracy: number | null;
}

/** Something that heads do. */
export interface HeadRole {
  /** As `scores` and `roles` call it. */
  key: string;
  /** What follows after `a head that`. */
  words: string;
  /** The score from which on a head is said to do so. */
  at: number;
}

/** A position of a trace; the model runs the tokens up to it once for each head and MLP, and for some more. */
export interface WhyParams {
  /** The trace, as `list_traces` has it. */
  trace_id: string;
  /**
   * What stands there foretells the token at the next one. null: where the token was written that the model gave least; the first written, where it gave each 90% or more.
   */
  position?: number | null;
  /** Answer also where another model wrote the trace; the result says so. */
  anyway?: boolean;
  /** Say what it would take, and answer no more than that. */
  estimate?: boolean;
}

/** Why the model said that. All but `token` is about its likeliest answer, which a sampled token need not be. */
export interface WhyResult {
  /** Where the stream is read, from 0, which is `<|bos|>`; it foretells the token at the next position. */
  position: number;
  /** The token that was written there; null: none was. */
  token: number | null;
  /** Its text. */
  text: string | null;
  /** What the model gives it, at temperature 1. */
  probability: number | null;
  /** Which of its choices it is; 1: the answer. */
  rank: number | null;
  /**
   * Who wrote the token: the model; nobody, it is the prompt's; the calculator; the model while parts of it were changed; another model.
   */
  by: "calculator" | "changed" | "model" | "other" | "prompt";
  /** The likeliest token; null for an estimate. */
  answer: number | null;
  /** Its text. */
  answer_text: string | null;
  /** The written token where it is not the answer, else the second likeliest. */
  rival: number | null;
  /** Its text. */
  rival_text: string | null;
  /** At most ten, in their order; empty for an estimate. */
  lines: WhyLine[];
  /** The model that answers. */
  model: ModelInfo;
  /** Where the answer leads in the stream. */
  decided?: LensDecided | null;
  /** By how much it leads the rival, before the softcap. */
  total?: number | null;
  /** Of its lead on the rival, as `attribute_logits` has them. */
  components?: LogitComponent[];
  /** The answer's, its logit as its lead on the rival. */
  baseline?: AblationOutcome | null;
  /** As `ablation_scan` has them, of the answer's lead on the rival. */
  effects?: AblationEffect[];
  /** null: none was found. */
  flip?: WhyFlip | null;
  /** How it differs from the one that wrote the trace, where it does. */
  other_model?: string | null;
  /** What it would take, where that was asked. */
  cost?: Cost | null;
}

/** A sentence. */
export interface WhyLine {
  /**
   * How sure it was; what else it might have said; at which depth it was decided; who wrote it; a head that the answer dies without; the other heads; the MLPs; what flips it.
   */
  about: "decided" | "else" | "flip" | "head" | "heads" | "mlps" | "sure" | "written_by";
  /** For people. */
  text: string;
  /** What shows more, for a shell. */
  command: string;
}

/** The smallest change found that flips the answer: one head, else one MLP, else the strongest heads together. */
export interface WhyFlip {
  /** Switched off together, at all positions. */
  units: WhyUnit[];
  /** What it says then, the likeliest first. */
  top: Alternative[];
}

/** Something switched off. */
export interface WhyUnit {
  /** The layer. */
  layer: number;
  /** The head; null: the layer's MLP. */
  head: number | null;
}

/** The trace that is gone. */
export interface DeleteTraceResult {
  /** The trace that is gone. */
  deleted: string;
}

/** What to tell besides the usual. */
export interface GetStatusParams {
  /** Every setting too, with where its value came from. */
  settings?: boolean;
  /** Compare the model held with its files too, which takes a look at the disk. */
  checkpoint?: boolean;
}

/** How the daemon is. */
export interface GetStatusResult {
  /** The protocol's version. */
  protocol_version: string;
  /** nanoscope's version. */
  package_version: string;
  /** The daemon's process. */
  pid: number;
  /** Seconds. */
  uptime: number;
  /** The model held. */
  model: ModelInfo;
  /** The model's queue. */
  queue: QueueInfo;
  /** Who is connected. */
  sessions: SessionInfo[];
  /** How many have left since the daemon started; those that only asked how it is left out. */
  sessions_ended: number;
  /** Traces folders in use. */
  watchers: WatchInfo[];
  /** Milliseconds that the event loop was late by at most, lately. */
  loop_lag: number;
  /** Resident bytes. */
  memory: number;
  /** Seconds without clients and work after which it ends; 0: never. */
  idle_timeout: number;
  /** Where it logs. */
  log_file: string;
  /** Where asked for. */
  settings?: Setting[] | null;
}

/** The model's queue. */
export interface QueueInfo {
  /** The model is at work. */
  running: boolean;
  /** Jobs that wait for it. */
  waiting: number;
  /** Jobs that may wait before QUEUE_FULL. */
  limit: number;
}

/** One connected client. */
export interface SessionInfo {
  /** The client's number, while the daemon lives. */
  session: number;
  /** The client's own name, or the kind of its connection. */
  name: string;
  /** `editor`: Content-Length framing; `line`: one JSON value a line. */
  door: "editor" | "line";
  /** Since it connected. */
  seconds: number;
  /** Running or waiting. */
  requests: number;
  /** The traces folder. */
  traces_dir: string;
  /** The model that it names, in words; empty: whichever is held will do. */
  names?: string;
}

/** How one traces folder is watched. */
export interface WatchInfo {
  /** The traces folder. */
  traces_dir: string;
  /** Changes are seen as they happen; if not, `note` says why. */
  healthy: boolean;
  /** How changes are noticed; `rescans`: by looking now and then. */
  method: "events" | "polling" | "rescans";
  /** How many it holds. */
  traces: number;
  /** What is the matter, and what to do. */
  note?: string;
}

/** One setting, and where its value came from. */
export interface Setting {
  /** Its name. */
  name: string;
  /** As text; null where it is not set. */
  value: string | null;
  /** A flag, an environment variable, the configuration file, or `default`. */
  origin: string;
}

/** A method that takes nothing. */
export interface NoParams {}
/** What there is to load, and what is held. */
export interface ListModelsResult {
  /** What can be loaded. */
  models: CheckpointInfo[];
  /** Where nanochat's checkpoints are looked for. */
  base_dir: string;
  /** What is held. */
  current: ModelInfo;
}

/** One checkpoint, with the steps that are there. */
export interface CheckpointInfo {
  /** `base`, `mid`, `sft`, `rl`, `demo`, or a folder. */
  source: string;
  /** Which of the source's models. */
  tag: string;
  /** Training steps of which there are checkpoints. */
  steps: number[];
  /** Where it lies. */
  path: string;
}

/** A checkpoint, named as `list_models` has it, or a folder. */
export interface LoadModelParams {
  /** `base`, `mid`, `sft`, `rl`, `demo`, or a folder. */
  source: string;
  /** Which of the source's models; the deepest by default. */
  tag?: string | null;
  /** The training step; the last by default. */
  step?: number | null;
  /** The architecture, where the checkpoint does not tell. */
  era?: string | null;
  /** `cpu`, `cuda` or `mps`; the best there is by default. */
  device?: string | null;
  /** What to compute in. */
  dtype?: ("bfloat16" | "float16" | "float32") | null;
  /** The layers' windows, such as SSSL, where the checkpoint does not record them. */
  window_pattern?: string | null;
}

/** The model now held. */
export interface LoadModelResult {
  /** The model held. */
  model: ModelInfo;
}

/** The id of a request of the same client. */
export interface CancelParams {
  /** The id of a request on the same connection. */
  id: number | string;
}

/** False where no such request was running or waiting. */
export interface CancelResult {
  /** Whether there was such a request. */
  cancelled: boolean;
}

/** Others are heeded unless `force` is set. */
export interface ShutdownParams {
  /** End it although others use it. */
  force?: boolean;
}

/** What the daemon tells of its own accord. */
export interface Notifications {
  /** Traces came, changed or went. To every session that uses the folder. */
  traces_changed: TracesChanged;
  /** A token as it comes. To the caller that asked to stream. */
  generation_progress: GenerationProgress;
  /** A request waits in the queue, waits for the model, or begins. To the caller that asked to stream. */
  request_progress: RequestProgress;
  /** The model held is another. To every session. */
  model_changed: ModelChanged;
  /** The queue or the sessions changed. To every session. */
  status_changed: StatusChanged;
}

/** Ids of traces that came, changed and went in a folder that the session uses. */
export interface TracesChanged {
  /** The traces folder. */
  traces_dir: string;
  /** Ids of traces that came. */
  added?: string[];
  /** Ids of traces whose files changed. */
  changed?: string[];
  /** Ids of traces that went. */
  removed?: string[];
}

/** One token of a generation that asked to stream. `text` is empty while a character is not whole. */
export interface GenerationProgress {
  /** The id of the request that this is about. */
  request: number | string;
  /** Its number in the vocabulary. */
  token: number;
  /** What it adds to the text; empty while a character is not whole. */
  text: string;
  /** In the whole sequence, from 0, which is `<|bos|>`. */
  position: number;
  /** The calculator chose it, or whoever forked the text, not the model. */
  forced: boolean;
  /** Bits: -log2 of its probability at temperature 1; null where there are no logits to tell it from. */
  surprisal: number | null;
  /** What was likely there, the likeliest first. */
  top: Alternative[];
}

/** Where a request that asked to stream stands. */
export interface RequestProgress {
  /** The id of the request that this is about. */
  request: number | string;
  /** What it is waiting for, or that it runs. */
  state: "loading" | "queued" | "running";
  /** Jobs before it in the queue. */
  ahead?: number;
  /** For a person. */
  message?: string;
  /** What to know before it runs, such as how large its trace is; else empty. */
  notice?: string;
}

/** The model that is held, loaded, or failed to load. */
export interface ModelChanged {
  /** The model held. */
  model: ModelInfo;
}

/** Queue and number of sessions; sent a few times a second at most. */
export interface StatusChanged {
  /** The model's queue. */
  queue: QueueInfo;
  /** How many clients are connected. */
  sessions: number;
}

export type MethodName = keyof Methods;
export type NotificationName = keyof Notifications;

/** Methods that may be asked again where the answer was lost: asking twice changes nothing. */
export const REPEATABLE: ReadonlySet<MethodName> = new Set<MethodName>([
  "hello",
  "list_traces",
  "analyze_trace",
  "get_summary",
  "get_document",
  "get_tensor",
  "get_attention",
  "get_head_thumbnails",
  "get_tokens",
  "get_alternatives",
  "compare_traces",
  "diff_traces",
  "logit_lens",
  "attribute_logits",
  "patch_scan",
  "ablation_scan",
  "scan_heads",
  "why",
  "get_status",
  "list_models",
  "rpc.discover",
]);

/** The number of each error, by the name that its `data.name` has. */
export const errorCodes = {
  PARSE_ERROR: -32700,
  INVALID_REQUEST: -32600,
  METHOD_NOT_FOUND: -32601,
  INVALID_PARAMS: -32602,
  INTERNAL_ERROR: -32603,
  SERVER_NOT_INITIALIZED: -32002,
  CONTENT_MODIFIED: -32801,
  CANCELLED: -32800,
  TRACE_NOT_FOUND: -31001,
  TRACE_UNREADABLE: -31002,
  TRACE_ID_INVALID: -31003,
  CATEGORY_INVALID: -31004,
  PROMPT_INVALID: -31005,
  PROMPT_TOO_LONG: -31006,
  SETTING_INVALID: -31007,
  MODEL_NOT_LOADED: -31008,
  CHECKPOINT_INVALID: -31009,
  NON_FINITE: -31010,
  QUEUE_FULL: -31011,
  TOO_LARGE: -31012,
  VERSION_MISMATCH: -31013,
  STORAGE_FAILED: -31014,
  STORAGE_FULL: -31015,
  RUN_FOLDER_UNSAFE: -31016,
  DAEMON_NOT_STARTED: -31017,
  MODEL_MISMATCH: -31020,
  OTHER_MODEL: -31021,
  IN_USE: -31019,
  SHUTTING_DOWN: -31018,
} as const;

export type ErrorName = keyof typeof errorCodes;
