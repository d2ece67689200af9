"""A generation: what is asked, what comes of it, and what is told meanwhile."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from protocol.trace_formats import Format
from protocol.types import meanings
from protocol.types.base import Count, DType, Id, Name, Params, RequestId, Result, Text
from protocol.types.interventions import Interventions
from protocol.types.models import ModelInfo, NamedModel
from protocol.types.traces import Alternative, TraceSummary
from protocol.types.why import ESTIMATE, Cost


class Message(Params):
    """One turn of a chat."""

    role: Annotated[Literal["system", "user", "assistant"], Meta(description="Who says it.")]
    content: Annotated[Text, Meta(description="What is said.")]


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
    dtype: Annotated[DType | None, Meta(description="What the tensors are stored as; as computed by default.")] = None


class GenerateAndCaptureParams(Params):
    """Give either `prompt` or `messages`."""

    prompt: Annotated[Text, Meta(description="Plain text to go on from.")] | None = None
    messages: (
        Annotated[list[Message], Meta(max_length=10_000, description="A chat that ends with the user's message.")]
        | None
    ) = None
    category: Annotated[Name | None, Meta(description="A name to find the trace by; `general` by default.")] = None
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
    max_tokens: Annotated[Count, Meta(description="Stops there, or at an end token; 0 looks at the prompt alone.")] = (
        256
    )
    temperature: Annotated[float, Meta(ge=0, description="0 takes the likeliest token.")] = 0.6
    top_k: Annotated[Count, Meta(description="Draw from the k likeliest; 0 or null: from all.")] | None = 50
    seed: Annotated[
        int, Meta(ge=0, le=(1 << 63) - 1, description="The same seed writes the same text, with or without a capture.")
    ] = 42
    capture_intermediate_steps: Annotated[
        bool, Meta(description="Spell the generation's steps out, in a JSON trace.")
    ] = False
    capture: Annotated[
        Capture | None,
        Meta(description="What to capture: all layers, the usual sites and the generated tokens' logits by default."),
    ] = None
    interventions: (
        Annotated[Interventions, Meta(description="What to change on the way; what is captured has it in it.")] | None
    ) = None
    format: Annotated[Format, Meta(description="How the trace is kept; by default as the daemon is set.")] | None = None
    stream: Annotated[bool, Meta(description="Send `generation_progress` with every token.")] = False


class WrittenResult(Result):
    """What was written, and where the trace of it is."""

    trace_id: Annotated[str, meanings.TRACE_ID]
    prompt: Annotated[str, meanings.PROMPT]
    response: Annotated[str, meanings.RESPONSE]
    prompt_tokens: Annotated[int, meanings.PROMPT_TOKENS]
    response_tokens: Annotated[int, meanings.RESPONSE_TOKENS]
    metadata: Annotated[dict[str, Any], meanings.METADATA]
    path: Annotated[str, Meta(description="The trace's file.")]
    timings: Annotated[dict[str, float | None], Meta(description="Seconds; tokens_per_second.")]
    model: Annotated[ModelInfo | None, Meta(description="The model that wrote.")] = None
    notices: Annotated[list[str], Meta(description="What was said before the work, such as how large a trace is.")] = (
        field(default_factory=list)
    )
    parent: Annotated[str | None, meanings.PARENT] = None
    interventions: Annotated[list[dict[str, Any]], meanings.INTERVENTIONS] = field(default_factory=list)
    touched: Annotated[list[int], meanings.TOUCHED] = field(default_factory=list)


class GenerateAndCaptureResult(WrittenResult, kw_only=True):
    """What was written, and where the trace of it is."""

    summary: Annotated[TraceSummary, Meta(description="As `get_summary` gives it.")]


class ChildResult(WrittenResult, kw_only=True):
    """As of a generation, the trace being the child's. An estimate has none: its id, path and response are empty."""

    summary: Annotated[TraceSummary | None, Meta(description="As `get_summary` gives it; null for an estimate.")]
    cost: Annotated[Cost | None, Meta(description="What it would take, where that was asked.")] = None


class InterveneParams(Params):
    """Something has to be otherwise than it was: interventions, or the model."""

    trace_id: Annotated[Id, meanings.TRACE_ID]
    interventions: (
        Annotated[
            Interventions,
            Meta(
                description="What to change on the way, in place of what the trace was made with; null: what it was "
                "made with.",
                examples=[[{"op": "zero", "site": "head_output", "layer": 3, "heads": [1, 2, 3]}]],
            ),
        ]
        | None
    ) = None
    model: Annotated[
        NamedModel | None,
        Meta(
            description="Run it on this model, loaded for this run alone: the one held stays, whoever uses it. "
            "Where it did not write the trace, a notice says so, `anyway` or not. What is left out is chosen as "
            "`load_model` does. null: on the model held."
        ),
    ] = None
    capture: Annotated[
        Capture | None,
        Meta(description="What to capture; null: what the trace has, of a model of another depth by relative depth."),
    ] = None
    anyway: Annotated[
        bool, Meta(description="Run it on the model held, though another one wrote the trace; a notice says so.")
    ] = False
    estimate: Annotated[bool, ESTIMATE] = False
    stream: Annotated[bool, Meta(description="Send `generation_progress` with every token.")] = False


class InterveneResult(ChildResult, kw_only=True):
    """As of a generation, the trace being the child's. An estimate has none: its id, path and response are empty."""

    position: Annotated[
        int | None,
        Meta(description="The first whose token is not the parent's; null: the texts are the same, or an estimate."),
    ] = None


class ForkTraceParams(Params):
    """Another token in a trace's text, or several, and on from there with its seed and settings.

    Give either `token` or `text`. One that is there already repeats the trace.
    """

    trace_id: Annotated[Id, meanings.TRACE_ID]
    position: Annotated[
        Count, Meta(description="Where to put it, from 1 on; what is before stays, what follows is written anew.")
    ]
    token: Annotated[
        Count | Annotated[str, Meta(max_length=1000)] | None,
        Meta(description="What to put there: a number, or a text that is one token."),
    ] = None
    text: Annotated[Text, Meta(description="Or a text of any number of tokens.")] | None = None
    interventions: (
        Annotated[Interventions, Meta(description="What to change on the way; null: what the trace was made with.")]
        | None
    ) = None
    max_tokens: (
        Annotated[Count, Meta(description="How many to write after it at most; null: as many as the trace had left.")]
        | None
    ) = None
    capture: Annotated[Capture | None, Meta(description="What to capture; null: what the trace has.")] = None
    anyway: Annotated[
        bool, Meta(description="Run it on the model held, though another one wrote the trace; a notice says so.")
    ] = False
    estimate: Annotated[bool, ESTIMATE] = False
    stream: Annotated[
        bool, Meta(description="Send `generation_progress` with every token, those that are kept included.")
    ] = False


class ForkTraceResult(ChildResult, kw_only=True):
    """As of a generation, the trace being the child's. An estimate has none: its id, path and response are empty."""

    position: Annotated[int, Meta(description="Where it was forked.")]


class GenerationProgress(Params):
    """One token of a generation that asked to stream. `text` is empty while a character is not whole."""

    request: Annotated[RequestId, meanings.REQUEST]
    token: Annotated[int, meanings.TOKEN]
    text: Annotated[str, Meta(description="What it adds to the text; empty while a character is not whole.")]
    position: Annotated[int, meanings.POSITION]
    forced: Annotated[bool, meanings.FORCED]
    surprisal: Annotated[float | None, meanings.SURPRISAL]
    top: Annotated[list[Alternative], meanings.TOP]


class RequestProgress(Params):
    """Where a request that asked to stream stands."""

    request: Annotated[RequestId, meanings.REQUEST]
    state: Annotated[
        Literal["queued", "loading", "running"], Meta(description="What it is waiting for, or that it runs.")
    ]
    ahead: Annotated[int, Meta(description="Jobs before it in the queue.")] = 0
    message: Annotated[str, Meta(description="For a person.")] = ""
    notice: Annotated[
        str, Meta(description="What to know before it runs, such as how large its trace is; else empty.")
    ] = ""
