"""Why the model said what it said: questions about a trace that its model answers."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from protocol.types import meanings
from protocol.types.base import Count, Id, Params, Result
from protocol.types.models import ModelInfo
from protocol.types.traces import Alternative

STOOD = Meta(
    description="Where the stream is read, from 0, which is `<|bos|>`; it foretells the token at the next position."
)
ANYWAY = Meta(description="Answer also where another model wrote the trace; the result says so.")
ESTIMATE = Meta(description="Say what it would take, and answer no more than that.")
ASKED_TOKEN = Annotated[str, Meta(max_length=1000)]


class Cost(Result):
    """What a question would take."""

    forwards: Annotated[int, Meta(description="Of the whole text.")]
    bytes: Annotated[int, Meta(description="Of memory beside the model's, about.")]
    seconds: Annotated[float, Meta(description="About, from the time that a part of it took.")]


class LogitLensParams(Params):
    """A trace, and what to read of it; the model runs its tokens once more."""

    trace_id: Annotated[Id, meanings.TRACE_ID]
    positions: (
        Annotated[list[Count], Meta(max_length=100_000, description="Where to read; null: at every token.")] | None
    ) = None
    layers: (
        Annotated[
            list[Count], Meta(max_length=10_000, description="These and the output; null: all, and the embedding.")
        ]
        | None
    ) = None
    top: Annotated[int, Meta(ge=1, le=100, description="So many of the likeliest tokens at each point.")] = 5
    tokens: Annotated[
        list[Count | ASKED_TOKEN],
        Meta(
            max_length=100,
            description="Tokens to follow beside the text's own next one: numbers, or texts that are one token.",
        ),
    ] = field(default_factory=list)
    anyway: Annotated[bool, ANYWAY] = False
    estimate: Annotated[bool, ESTIMATE] = False


class LensChance(Result):
    """What is thought of one token."""

    token: Annotated[int, meanings.TOKEN]
    text: Annotated[str, meanings.TOKEN_TEXT]
    logit: Annotated[float, Meta(description="After the softcap.")]
    probability: Annotated[float, Meta(description="At temperature 1.")]
    rank: Annotated[int, Meta(description="1: the likeliest.")]


class LensBelief(Result):
    """What the stream says at one point and position."""

    position: Annotated[int, STOOD]
    top: Annotated[list[Alternative], Meta(description="The likeliest tokens, the likeliest first.")]
    chosen: Annotated[
        list[LensChance], Meta(description="The text's own next token, where it has one, then those asked for.")
    ]
    kl: Annotated[
        float,
        Meta(description="Kullback-Leibler divergence from the output's distribution, in nats: 0 where they agree."),
    ]
    entropy: Annotated[float, Meta(description="Of its own distribution, in nats: how unsure it is.")]


class PointName(Result):
    """A point of the residual stream."""

    layer: Annotated[int | None, Meta(description="The layer; null for the embedding and the output.")]
    at: Annotated[
        Literal["embedding", "attention", "mlp", "output"],
        Meta(description="What it comes after. `output`: what the final norm reads."),
    ]
    backout: Annotated[
        bool | None,
        Meta(
            description="Era F above mid-depth: true, read without the stream at mid-depth, which the end takes off; "
            "false, read as it is. null: there is one reading."
        ),
    ]


class LensPoint(PointName):
    """What the stream says at one point, by position."""

    positions: Annotated[list[LensBelief], Meta(description="In their order.")]


class LensDecided(Result):
    """Where the final answer leads; by the reading with backout, where there are two."""

    position: Annotated[int, STOOD]
    token: Annotated[int, Meta(description="The final answer, the likeliest token at the output.")]
    text: Annotated[str, meanings.TOKEN_TEXT]
    first: Annotated[PointName, Meta(description="The first point, of those read, at which it is the likeliest.")]
    stays: Annotated[PointName, Meta(description="The point from which on it always is.")]


class LogitLensResult(Result):
    """What the model would say if the rest of it added nothing. The output's numbers are the model's own."""

    points: Annotated[list[LensPoint], Meta(description="In the order of the stream; empty for an estimate.")]
    decided: Annotated[list[LensDecided], Meta(description="By position; empty for an estimate.")]
    model: Annotated[ModelInfo, Meta(description="The model that answers.")]
    other_model: Annotated[
        str | None, Meta(description="How it differs from the one that wrote the trace, where it does.")
    ] = None
    cost: Annotated[Cost | None, Meta(description="What it would take, where that was asked.")] = None


class AttributeLogitsParams(Params):
    """A position of a trace, and whose logit there; the model runs the tokens up to it once more."""

    trace_id: Annotated[Id, meanings.TRACE_ID]
    position: Annotated[Count, STOOD]
    token: Annotated[
        Count | ASKED_TOKEN | None,
        Meta(description="Whose logit: a number, or a text that is one token; null: the text's own next token."),
    ] = None
    against: Annotated[
        Count | ASKED_TOKEN | None, Meta(description="The difference to this token's; null: the logit itself.")
    ] = None
    neurons: Annotated[
        int, Meta(ge=0, le=1000, description="So many of each MLP's strongest neurons stand by themselves.")
    ] = 5
    sources: Annotated[
        int, Meta(ge=0, le=100_000, description="So many of the positions that a head read from, the strongest.")
    ] = 16
    anyway: Annotated[bool, ANYWAY] = False
    estimate: Annotated[bool, ESTIMATE] = False


class LogitSource(Result):
    """A position that something was read from."""

    position: Annotated[int, Meta(description="In the whole sequence, from 0.")]
    value: Annotated[float, Meta(description="Its part of the component's value.")]


class LogitComponent(Result, omit_defaults=True):
    """One part of the sum; a head in a layer with value embeddings has two, an embedding in era F too."""

    kind: Annotated[
        Literal["embedding", "x0", "head", "mlp", "neuron", "backout"],
        Meta(
            description="`x0`: the embedding that a layer mixes in again. `neuron`: a strong one, then no part of its "
            "`mlp`. `backout`: the stream at half depth, which the end takes off."
        ),
    ]
    value: Annotated[float, Meta(description="Before the softcap; times logit / total it is its share of the logit.")]
    layer: Annotated[int | None, Meta(description="The layer that wrote it; of `backout` the last that it holds.")] = (
        None
    )
    head: Annotated[int | None, Meta(description="The head.")] = None
    neuron: Annotated[int | None, Meta(description="The neuron, from 0.")] = None
    part: Annotated[
        Literal["own", "smeared", "projected", "value_embedding", "rest"] | None,
        Meta(
            description="Of an embedding the token's own, or what was smeared from the one before it; of a head what "
            "the projected values brought, or the value embeddings; of an MLP the rest beside its neurons."
        ),
    ] = None
    sources: Annotated[
        list[LogitSource], Meta(description="The positions that it was read from, the strongest first.")
    ] = field(default_factory=list)
    backout: Annotated[
        float | None,
        Meta(
            description="What of it the end takes off, a part of the component `backout`; null where it takes nothing."
        ),
    ] = None


class AttributeLogitsResult(Result):
    """The logit as a sum, the final norm's scale frozen: what each part wrote itself, not what others made of it."""

    position: Annotated[int, STOOD]
    token: Annotated[int, Meta(description="Whose logit.")]
    text: Annotated[str, meanings.TOKEN_TEXT]
    against: Annotated[int | None, Meta(description="The other token of a difference.")]
    against_text: Annotated[str | None, Meta(description="Its text.")]
    total: Annotated[float | None, Meta(description="Before the softcap; null for an estimate.")]
    logit: Annotated[float | None, Meta(description="The model's own, after the softcap; null for an estimate.")]
    error: Annotated[float | None, Meta(description="By how much the components do not sum to the total.")]
    components: Annotated[list[LogitComponent], Meta(description="All of them; empty for an estimate.")]
    model: Annotated[ModelInfo, Meta(description="The model that answers.")]
    other_model: Annotated[
        str | None, Meta(description="How it differs from the one that wrote the trace, where it does.")
    ] = None
    cost: Annotated[Cost | None, Meta(description="What it would take, where that was asked.")] = None
