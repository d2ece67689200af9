"""The params and results of every method, and the params of every notification, as msgspec structs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from protocol.trace_formats import Format

DType = Literal["float32", "float16", "bfloat16"]

# What clients send has limits, as part of its type: see `Params`.
LARGEST_INTEGER = (1 << 53) - 1  # as large as every JSON reader keeps exactly
NO_NUL = r"^[^\x00]*$"
Id = Annotated[str, Meta(max_length=200)]
Name = Annotated[str, Meta(max_length=200, pattern=NO_NUL)]
FolderPath = Annotated[str, Meta(max_length=4096, pattern=NO_NUL)]
Text = Annotated[str, Meta(max_length=1_000_000)]
Source = FolderPath  # base, mid, sft, rl, demo, or a folder
RequestId = int | str
Count = Annotated[int, Meta(ge=0, le=LARGEST_INTEGER)]
Span = tuple[Count, Count]  # [start, stop): start included, stop not


class Params(Struct, kw_only=True, forbid_unknown_fields=True):
    """Base of all params: unknown names are an error, and so is a text, a list or a number beyond its limit."""


class Result(Struct, kw_only=True):
    """Base of all results: readers ignore names that they do not know."""


class NoParams(Params):
    """A method that takes nothing."""


# Generation


class Message(Params):
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: Text


class Capture(Params):
    """Narrows what is captured; what is left out is as by default."""

    layers: (
        Annotated[list[Count], Meta(max_length=10_000, description="These layers alone; all by default.")] | None
    ) = None
    sites: (
        Annotated[list[Name], Meta(max_length=100, description="Such as attention_weights, post_mlp, residual, q.")]
        | None
    ) = None
    logits: Annotated[
        Literal["generated", "all"] | Count | None,
        Meta(description="The row of each generated token, of every position, the top K of every position, or none."),
    ] = "generated"
    dtype: DType | None = None


class GenerateAndCaptureParams(Params):
    """Give either `prompt` or `messages`."""

    prompt: Annotated[Text, Meta(description="Plain text to go on from.")] | None = None
    messages: (
        Annotated[list[Message], Meta(max_length=10_000, description="A chat that ends with the user's message.")]
        | None
    ) = None
    category: Name | None = None
    metadata: (
        Annotated[
            dict[str, Any],
            Meta(
                max_length=10_000,
                description="Anything of the caller's own, kept exactly: up to 2 MiB as JSON, 64 levels deep, whole "
                "numbers of up to 1,000 digits.",
            ),
        ]
        | None
    ) = None
    max_tokens: Count = 256
    temperature: Annotated[float, Meta(ge=0, description="0 takes the likeliest token.")] = 0.6
    top_k: Annotated[Count, Meta(description="Draw from the k likeliest; 0 or null: from all.")] | None = 50
    seed: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 42
    capture_intermediate_steps: bool = False
    capture: Capture | None = None
    format: Annotated[Format, Meta(description="How the trace is kept; by default as the daemon is set.")] | None = None
    stream: Annotated[bool, Meta(description="Send `generation_progress` with every token.")] = False


class Tensor(Result):
    """What a tensor of a trace is; `shape` is null where a foreign file does not tell it."""

    shape: list[int] | None
    dtype: str


class DataInfo(Result):
    """What a trace holds."""

    num_layers: int
    num_tokens: int
    num_steps: int
    intermediate_steps: bool
    tensors: dict[str, Tensor]


class TraceSummary(Result):
    """A trace without its tokens, tensors and analysis.

    `model` and `generation` are null where another program wrote it.
    """

    trace_id: str
    timestamp: str
    prompt: str
    response: str
    category: str | None
    metadata: dict[str, Any]
    model: dict[str, Any] | None
    generation: dict[str, Any] | None
    data_info: DataInfo


class GenerateAndCaptureResult(Result):
    """What was written, and where the trace of it is."""

    trace_id: str
    prompt: str
    response: str
    prompt_tokens: int
    response_tokens: int
    metadata: dict[str, Any]
    summary: TraceSummary
    path: str
    timings: Annotated[dict[str, float | None], Meta(description="Seconds; tokens_per_second.")]
    model: ModelInfo | None = None
    notices: Annotated[list[str], Meta(description="What was said before the work, such as how large a trace is.")] = []


# Traces


class ListTracesParams(Params):
    """Newest first, a page at a time."""

    category: Name | None = None
    text: (
        Annotated[str, Meta(max_length=10_000, description="Part of a prompt, response or id; case does not matter.")]
        | None
    ) = None
    limit: Annotated[int, Meta(ge=1, le=10_000, description="At most; fewer where their texts are long.")] = 100
    cursor: Annotated[str, Meta(max_length=4096, description="From the page before.")] | None = None


class TraceRow(Result):
    """One line of a listing. Long prompts and responses are cut after 4,000 characters."""

    trace_id: str
    timestamp: str
    category: str | None
    prompt: str
    response: str
    prompt_tokens: int
    response_tokens: int
    size: Annotated[int, Meta(description="Bytes on disk.")]
    format: str
    readable: bool
    reason: Annotated[str, Meta(description="Why it is not readable.")]
    path: str


class ListTracesResult(Result):
    """One page; `cursor` is there while more follow."""

    traces: list[TraceRow]
    total: Annotated[int, Meta(description="Traces that match, on all pages.")]
    cursor: str | None = None


class TraceParams(Params):
    """One trace."""

    trace_id: Id


class MetricRole(Result):
    """What a head with a high score does, and from which score on it is said to."""

    words: Annotated[str, Meta(description="After 'a head that', such as 'looks one token back'.")]
    at: Annotated[float, Meta(description="The score from which on a head is said to do so.")]


class Metric(Result):
    """What a number of each attention head is, and how to show it. Newer versions have more of them."""

    label: Annotated[str, Meta(description="What it is called.")]
    short: Annotated[str, Meta(description="Its name in a narrow column; '-': it has none.")]
    meaning: Annotated[str, Meta(description="What it is, in a sentence.")]
    unit: Annotated[str, Meta(description="Such as 'nats'; empty for none.")] = ""
    hint: Annotated[str, Meta(description="What to know to read the column.")] = ""
    span: Annotated[
        tuple[float, float] | None, Meta(description="What its values lie between; null: from 0 to the largest head's.")
    ] = None
    over_heads: Annotated[
        Literal["mean", "max"] | None, Meta(description="How a layer sums its heads up; null: it does not.")
    ] = None
    role: Annotated[MetricRole | None, Meta(description="For scores of what a head does.")] = None


HeadStatistics = dict[str, float | None]
LayerAttention = dict[str, float | list[HeadStatistics] | None]


class AttentionAnalysis(Result):
    """By layer, "0", "1", ..."""

    num_layers: int
    layer_stats: Annotated[
        dict[str, LayerAttention],
        Meta(
            description="By layer: each metric that a layer sums up, and `heads`, a list with every metric by its key."
        ),
    ]


class SiteStatistics(Result):
    """Of all values at one site of one layer."""

    mean: float | None
    std: float | None
    max: float | None
    min: float | None
    sparsity: float | None


class ActivationAnalysis(Result):
    """By layer and site."""

    layer_stats: dict[str, dict[str, SiteStatistics]]


class Alternative(Result):
    """A token that could have come, with its logit and its probability at temperature 1."""

    token: int
    text: str
    probability: float | None
    logit: float | None = None


class Analysis(Result):
    """What is computed of attention, activations and logits."""

    attention: AttentionAnalysis | None = None
    activations: ActivationAnalysis | None = None
    logits: dict[str, Any] | None = None


class AnalyzeTraceResult(Result):
    """The statistics of a trace."""

    trace_id: str
    metadata: dict[str, Any]
    analysis: Analysis
    metrics: Annotated[dict[str, Metric], Meta(description="What the numbers of each head are, by their keys.")]


class GetTensorParams(Params):
    """`name` is as `get_summary` lists it, or without its layer: "attention_weights" and `layer` 0.

    One answer holds 1,048,576 values as lists, or 16 MiB before base64; more is an error that says so.
    """

    trace_id: Id
    name: Annotated[str, Meta(max_length=1000)]
    layer: Count | None = None
    head: (
        Annotated[Count, Meta(description="Of weights, q, k, v, head_output; its axis and the first are left out.")]
        | None
    ) = None
    step: Annotated[Count, Meta(description="The rows of one generation step.")] | None = None
    rows: (
        Annotated[Span, Meta(description="[start, stop) on the last axis but one; past the end is nothing.")] | None
    ) = None
    columns: Annotated[Span, Meta(description="[start, stop) on the last axis.")] | None = None
    encoding: Annotated[Literal["json", "base64"], Meta(description="Nested lists, or bytes, little endian.")] = "json"
    dtype: Annotated[Literal["float32", "float16", "uint8"], Meta(description="Of base64 data.")] = "float32"


class GetTensorResult(Result, omit_defaults=True):
    """`data` is nested lists or base64. uint8 values stand for minimum + value / 255 * (maximum - minimum)."""

    shape: list[int]
    dtype: str
    data: Annotated[Any, Meta(extra_json_schema={"anyOf": [{"type": "array"}, {"type": "string"}]})]
    minimum: float | None = None
    maximum: float | None = None


class TokenRow(Result):
    """One position: surprisal in bits, null where the trace has no logits for it; `top`: what else was likely there."""

    position: int
    id: int
    text: str
    forced: Annotated[bool, Meta(description="The calculator chose it, not the model.")]
    generated: bool
    surprisal: float | None
    top: list[Alternative]


class GetTokensResult(Result):
    """All positions, the prompt's first."""

    trace_id: str
    tokens: list[TokenRow]


class DeleteTraceResult(Result):
    """The trace that is gone."""

    deleted: str


# The model


class ModelInfo(Result):
    """What the daemon holds, or is about to."""

    state: Literal["unloaded", "loading", "ready", "failed"]
    source: str | None = None
    tag: str | None = None
    step: int | None = None
    era: str | None = None
    path: str | None = None
    base_dir: Annotated[str | None, Meta(description="nanochat's base folder when it was loaded.")] = None
    parameters: int | None = None
    layers: int | None = None
    heads: int | None = None
    context: Annotated[int | None, Meta(description="Positions that the model has.")] = None
    device: str | None = None
    dtype: str | None = None
    note: str | None = None
    error: Annotated[str | None, Meta(description="Why loading failed.")] = None
    outdated: Annotated[
        str | None, Meta(description="What has changed on the disk since it was loaded, where that was asked for.")
    ] = None


class NamedModel(Params):
    """The model that a client means: what is named is what answers; what is left out does not matter."""

    source: Source | None = None
    tag: Name | None = None
    step: Count | None = None
    era: Name | None = None
    device: Name | None = None
    dtype: DType | None = None
    window_pattern: Name | None = None
    base_dir: Annotated[FolderPath, Meta(description="nanochat's base folder that it is of.")] | None = None


class CheckpointInfo(Result):
    """One checkpoint, with the steps that are there."""

    source: str
    tag: str
    steps: list[int]
    path: str


class ListModelsResult(Result):
    """What there is to load, and what is held."""

    models: list[CheckpointInfo]
    base_dir: str
    current: ModelInfo


class LoadModelParams(Params):
    """A checkpoint, named as `list_models` has it, or a folder."""

    source: Source
    tag: Name | None = None
    step: Count | None = None
    era: Name | None = None
    device: Name | None = None
    dtype: DType | None = None
    window_pattern: Name | None = None


class LoadModelResult(Result):
    """The model now held."""

    model: ModelInfo


# The daemon


class HelloParams(Params):
    """Who calls, and what it expects. Notifications are pushed to a line client from its hello on."""

    protocol_version: Name | None = None
    package_version: Name | None = None
    fingerprint: Annotated[Name, Meta(description="Of the settings that choose the model; empty: any will do.")] = ""
    client_name: Name = ""
    client_version: Name = ""
    traces_dir: Annotated[FolderPath, Meta(description="This session's own traces folder.")] | None = None
    notifications: bool = True
    model: NamedModel | None = None
    base_dir: (
        Annotated[FolderPath, Meta(description="Where `list_models` and `load_model` look: nanochat's base folder.")]
        | None
    ) = None


class HelloResult(Result):
    """Who answers."""

    protocol_version: str
    package_version: str
    fingerprint: str
    session: int
    pid: int
    traces_dir: str
    base_dir: Annotated[str, Meta(description="nanochat's base folder for this session.")] = ""


class SessionInfo(Result):
    """One connected client."""

    session: int
    name: str
    door: Literal["editor", "line"]
    seconds: Annotated[float, Meta(description="Since it connected.")]
    requests: Annotated[int, Meta(description="Running or waiting.")]
    traces_dir: str
    names: str = ""


class WatchInfo(Result):
    """How one traces folder is watched."""

    traces_dir: str
    healthy: bool
    method: Literal["events", "polling", "rescans"]
    traces: int
    note: str = ""


class QueueInfo(Result):
    """The model's queue."""

    running: bool
    waiting: int
    limit: int


class Setting(Result):
    """One setting, and where its value came from."""

    name: str
    value: str | None
    origin: str


class GetStatusParams(Params):
    """What to tell besides the usual."""

    settings: bool = False
    checkpoint: bool = False


class GetStatusResult(Result, omit_defaults=True):
    """How the daemon is."""

    protocol_version: str
    package_version: str
    pid: int
    uptime: Annotated[float, Meta(description="Seconds.")]
    model: ModelInfo
    queue: QueueInfo
    sessions: list[SessionInfo]
    sessions_ended: Annotated[
        int, Meta(description="How many have left since the daemon started; those that only asked how it is left out.")
    ]
    watchers: list[WatchInfo]
    loop_lag: Annotated[float, Meta(description="Milliseconds that the event loop was late by at most, lately.")]
    memory: Annotated[int, Meta(description="Resident bytes.")]
    idle_timeout: float
    log_file: str
    settings: list[Setting] | None = None


class CancelParams(Params):
    """The id of a request of the same client."""

    id: Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)] | Annotated[str, Meta(max_length=1000)]


class CancelResult(Result):
    """False where no such request was running or waiting."""

    cancelled: bool


class ShutdownParams(Params):
    """Others are heeded unless `force` is set."""

    force: bool = False


class DiscoverParams(Params):
    """The protocol itself."""


# Notifications


class TracesChanged(Params):
    """Ids of traces that came, changed and went in a folder that the session uses."""

    traces_dir: str
    added: list[str] = []
    changed: list[str] = []
    removed: list[str] = []


class GenerationProgress(Params):
    """One token of a generation that asked to stream. `text` is empty while a character is not whole."""

    request: RequestId
    token: int
    text: str
    position: int
    forced: bool
    surprisal: float | None
    top: list[Alternative]


class RequestProgress(Params):
    """Where a request that asked to stream stands."""

    request: RequestId
    state: Literal["queued", "loading", "running"]
    ahead: Annotated[int, Meta(description="Jobs before it in the queue.")] = 0
    message: str = ""
    notice: Annotated[
        str, Meta(description="What to know before it runs, such as how large its trace is; else empty.")
    ] = ""


class ModelChanged(Params):
    """The model that is held, loaded, or failed to load."""

    model: ModelInfo


class StatusChanged(Params):
    """Queue and number of sessions; sent a few times a second at most."""

    queue: QueueInfo
    sessions: int


def decode_params(params: object, kind: type[Params]) -> Params:
    """Params as their struct, strictly; raises msgspec.ValidationError, which names the path."""
    try:
        return msgspec.convert(params, kind, strict=True)
    except msgspec.ValidationError as error:
        matching = f"matching regex {NO_NUL!r}"
        raise msgspec.ValidationError(str(error).replace(matching, "without the character NUL")) from error
