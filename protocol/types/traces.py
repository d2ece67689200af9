"""Traces: their listing, what one holds, its tokens and tensors."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from protocol.trace_formats import FORMATS
from protocol.types import meanings
from protocol.types.base import Count, Id, Name, Params, Result, Span


class Tensor(Result):
    """What a tensor of a trace is; `shape` is null where a foreign file does not tell it."""

    shape: Annotated[list[int] | None, Meta(description="The length of each axis.")]
    dtype: Annotated[str, Meta(description="`torch.float32`, `torch.float16`, `torch.bfloat16`, ...")]


class DataInfo(Result):
    """What a trace holds."""

    num_layers: Annotated[int, Meta(description="Layers that were captured.")]
    num_tokens: Annotated[
        int, Meta(description="Positions that the model ran over: all tokens but the last, which is not run.")
    ]
    num_steps: Annotated[int, Meta(description="Forward passes: the prompt is one, each further token one.")]
    intermediate_steps: Annotated[bool, Meta(description="The file spells its steps out.")]
    tensors: Annotated[dict[str, Tensor], Meta(description="By name, such as `attention_weights.layer_0`.")]


class TraceSummary(Result):
    """A trace without its tokens, tensors and analysis.

    `model` and `generation` are null where another program wrote it.
    """

    trace_id: Annotated[str, meanings.TRACE_ID]
    timestamp: Annotated[str, meanings.TIMESTAMP]
    prompt: Annotated[str, meanings.PROMPT]
    response: Annotated[str, meanings.RESPONSE]
    category: Annotated[str | None, meanings.CATEGORY]
    metadata: Annotated[dict[str, Any], meanings.METADATA]
    model: Annotated[
        dict[str, Any] | None, Meta(description="Source, era, sizes, dtype and device of the model that wrote.")
    ]
    generation: Annotated[
        dict[str, Any] | None, Meta(description="The settings asked for, why it stopped, and the seconds it took.")
    ]
    data_info: Annotated[DataInfo, Meta(description="What the trace holds.")]
    parent: Annotated[str | None, meanings.PARENT] = None
    position: Annotated[int | None, meanings.FORKED] = None
    changed: Annotated[str | None, meanings.CHANGED] = None
    interventions: Annotated[list[dict[str, Any]], meanings.INTERVENTIONS] = field(default_factory=list)
    touched: Annotated[list[int], meanings.TOUCHED] = field(default_factory=list)


class ListTracesParams(Params):
    """Newest first, a page at a time."""

    category: Annotated[Name | None, Meta(description="Traces of that category alone.")] = None
    text: (
        Annotated[str, Meta(max_length=10_000, description="Part of a prompt, response or id; case does not matter.")]
        | None
    ) = None
    limit: Annotated[int, Meta(ge=1, le=10_000, description="At most; fewer where their texts are long.")] = 100
    cursor: Annotated[str, Meta(max_length=4096, description="From the page before.")] | None = None


class TraceRow(Result):
    """One line of a listing. Long prompts and responses are cut after 4,000 characters."""

    trace_id: Annotated[str, meanings.TRACE_ID]
    timestamp: Annotated[str, meanings.TIMESTAMP]
    category: Annotated[str | None, meanings.CATEGORY]
    prompt: Annotated[str, meanings.PROMPT]
    response: Annotated[str, meanings.RESPONSE]
    prompt_tokens: Annotated[int, meanings.PROMPT_TOKENS]
    response_tokens: Annotated[int, meanings.RESPONSE_TOKENS]
    size: Annotated[int, Meta(description="Bytes on disk.")]
    format: Annotated[str, Meta(description=" or ".join(f"`{name}`" for name in FORMATS) + ".")]
    readable: Annotated[bool, Meta(description="Whether it can be opened.")]
    reason: Annotated[str, Meta(description="Why it is not readable.")]
    path: Annotated[str, Meta(description="The trace's file.")]
    model: Annotated[
        str | None,
        Meta(description="Short, such as `d12 · 2289`, or `demo`; null, as below, where the trace does not tell."),
    ] = None
    temperature: Annotated[float | None, Meta(description="0 took the likeliest token.")] = None
    top_k: Annotated[int | None, Meta(description="How many tokens were drawn from; 0: from all.")] = None
    seed: Annotated[int | None, Meta(description="What the random numbers began with.")] = None
    max_tokens: Annotated[int | None, Meta(description="How many tokens were asked for at most.")] = None
    parent: Annotated[str | None, meanings.PARENT] = None
    position: Annotated[int | None, meanings.FORKED] = None
    changed: Annotated[str | None, meanings.CHANGED] = None


class ListTracesResult(Result):
    """One page; `cursor` is there while more follow."""

    traces: Annotated[list[TraceRow], Meta(description="One row a trace.")]
    total: Annotated[int, Meta(description="Traces that match, on all pages.")]
    cursor: Annotated[str | None, Meta(description="Asks for the next page; null on the last.")] = None


class TraceParams(Params):
    """One trace."""

    trace_id: Annotated[Id, meanings.TRACE_ID]


class Alternative(Result):
    """A token that could have come, with its logit and its probability at temperature 1."""

    token: Annotated[int, meanings.TOKEN]
    text: Annotated[str, meanings.TOKEN_TEXT]
    probability: Annotated[float | None, Meta(description="At temperature 1.")]
    logit: Annotated[float | None, Meta(description="Before the softmax.")] = None


class TokenPiece(Result):
    """A token's place among those that share characters: bytes of one character may be spread over several tokens."""

    text: Annotated[str, Meta(description="Of all of them together, such as 'é'.")]
    index: Annotated[int, Meta(description="Which of them it is, from 0.")]
    count: Annotated[int, Meta(description="How many they are.")]


class TokenRow(Result):
    """One position: surprisal in bits, null where the trace has no logits for it; `top`: what else was likely there."""

    position: Annotated[int, meanings.POSITION]
    id: Annotated[int, Meta(description="Its number in the vocabulary.")]
    text: Annotated[str, meanings.TOKEN_TEXT]
    forced: Annotated[bool, meanings.FORCED]
    generated: Annotated[bool, Meta(description="Written, not part of the prompt.")]
    surprisal: Annotated[float | None, meanings.SURPRISAL]
    top: Annotated[list[Alternative], meanings.TOP]
    numbers: Annotated[
        dict[str, float | None], Meta(description="Every metric of tokens by its key, where the trace has it.")
    ] = field(default_factory=dict)
    piece: Annotated[
        TokenPiece | None, Meta(description="Where its bytes are part of characters that its neighbours share.")
    ] = None


class GetTokensResult(Result):
    """All positions, the prompt's first."""

    trace_id: Annotated[str, meanings.TRACE_ID]
    tokens: Annotated[list[TokenRow], Meta(description="One row a position.")]


class GetAlternativesParams(Params):
    """Of one position, the likeliest that the trace keeps logits of."""

    trace_id: Annotated[Id, meanings.TRACE_ID]
    position: Annotated[Count, meanings.POSITION]
    count: Annotated[
        int, Meta(ge=1, le=1000, description="How many, at most; `analyze_trace` and `get_tokens` have five.")
    ] = 20


class GetAlternativesResult(Result):
    """What could have come there: none for the first position, and where the trace has no logits for it."""

    position: Annotated[int, meanings.POSITION]
    captured: Annotated[int, Meta(description="How many logits the trace keeps of that position.")]
    alternatives: Annotated[list[Alternative], meanings.TOP]


class GetTensorParams(Params):
    """`name` is as `get_summary` lists it, or without its layer: "attention_weights" and `layer` 0.

    One answer holds 1,048,576 values as lists, or 16 MiB before base64; more is an error that says so.
    """

    trace_id: Annotated[Id, meanings.TRACE_ID]
    name: Annotated[str, Meta(max_length=1000, description="As `get_summary` lists it, or without its layer.")]
    layer: Annotated[Count | None, Meta(description="The layer, where `name` has none.")] = None
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

    shape: Annotated[list[int], Meta(description="The length of each axis of what was asked for.")]
    dtype: Annotated[str, Meta(description="The type of the values.")]
    data: Annotated[
        Any,
        Meta(
            description="Nested lists, or base64 of the bytes, row by row, little endian.",
            extra_json_schema={"anyOf": [{"type": "array"}, {"type": "string"}]},
        ),
    ]
    minimum: Annotated[float | None, Meta(description="Of uint8: what 0 stands for.")] = None
    maximum: Annotated[float | None, Meta(description="Of uint8: what 255 stands for.")] = None


class GetAttentionParams(Params):
    """Each head by itself loses the sink, then is weighted by values; then the heads are combined, in float32."""

    trace_id: Annotated[Id, meanings.TRACE_ID]
    heads: Annotated[
        list[tuple[Count, Count]], Meta(min_length=1, max_length=1024, description="Layer and head of each.")
    ]
    combine: Annotated[Literal["mean", "max"], Meta(description="What several heads become, cell by cell.")] = "mean"
    hide_sink: Annotated[
        bool, Meta(description="Without position 0: each row is divided by the sum of its other weights.")
    ] = False
    value_weighted: Annotated[
        bool, Meta(description="Weights times the L2 norm of the key's value vector; it needs `value_norms` or `v`.")
    ] = False
    rows: Annotated[Span, Meta(description="[start, stop) of the queries; past the end is nothing.")] | None = None
    columns: Annotated[Span, Meta(description="[start, stop) of the keys.")] | None = None
    encoding: Annotated[Literal["json", "base64"], Meta(description="Nested lists, or bytes, little endian.")] = "json"
    dtype: Annotated[Literal["float32", "float16", "uint8"], Meta(description="Of base64 data.")] = "float32"


class GetHeadThumbnailsParams(Params):
    """Of every layer, or of one: where the trace keeps none, all weights are read, and one layer is there sooner."""

    trace_id: Annotated[Id, meanings.TRACE_ID]
    layer: Annotated[Count | None, Meta(description="That layer alone; null: every one that was captured.")] = None


class LayerThumbnails(Result):
    """The heads of one layer."""

    layer: Annotated[int, Meta(description="The layer.")]
    heads: Annotated[int, Meta(description="How many heads it has.")]
    cells: Annotated[
        int, Meta(description="Of each side of a picture; cell i begins at position floor(i * positions / cells).")
    ]
    data: Annotated[
        str,
        Meta(description="Base64 of heads x cells x cells bytes, a row a query: the largest weight there, in 255ths."),
    ]


class GetHeadThumbnailsResult(Result):
    """By layer; empty where no attention was captured."""

    kept: Annotated[bool, Meta(description="The trace keeps them; else they were made of its weights.")]
    layers: Annotated[list[LayerThumbnails], Meta(description="The first layer first.")]


class DeleteTraceResult(Result):
    """The trace that is gone."""

    deleted: Annotated[str, Meta(description="The trace that is gone.")]


class TracesChanged(Params):
    """Ids of traces that came, changed and went in a folder that the session uses."""

    traces_dir: Annotated[str, meanings.TRACES_DIR]
    added: Annotated[list[str], Meta(description="Ids of traces that came.")] = field(default_factory=list)
    changed: Annotated[list[str], Meta(description="Ids of traces whose files changed.")] = field(default_factory=list)
    removed: Annotated[list[str], Meta(description="Ids of traces that went.")] = field(default_factory=list)
