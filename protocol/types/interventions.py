"""Interventions: what to change in a model while it writes, as data."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from protocol.types.base import Count, Id, Name, Params, Text

# No tuple: msgspec 0.22 makes a schema of a union of a number with limits and a tuple that ends the process.
StartStop = Annotated[list[Count], Meta(min_length=2, max_length=2)]


class ValueSource(Params, omit_defaults=True):
    """Where a value is to be taken from: one of `trace`, `difference` and `mean_over`."""

    trace: Annotated[
        Id | None,
        Meta(description="What another trace of the same model captured at this site and layer; for add and set."),
    ] = None
    position: Annotated[
        Count | None,
        Meta(description="Of the trace, this position's values at all that are changed; null: position by position."),
    ] = None
    difference: (
        Annotated[
            list[Text],
            Meta(
                min_length=2,
                max_length=2,
                description="The first prompt's mean over its positions at this site and layer, minus the second's; "
                "for add and set.",
            ),
        ]
        | None
    ) = None
    times: Annotated[float | None, Meta(description="What the difference is multiplied by; null: 1.")] = None
    mean_over: Annotated[
        Literal["trace"] | Annotated[list[Text], Meta(min_length=1, max_length=1000)] | None,
        Meta(
            description="The mean over the positions of the prompt that is run, or over all those of these prompts; "
            "for mean."
        ),
    ] = None


class Intervention(Params):
    """One change of what the model computes at a site."""

    op: Annotated[
        Literal["zero", "mean", "scale", "add", "set"],
        Meta(
            description="Put zeros there, or a mean of what the model computes there without interventions, by default "
            "over the prompt's positions; multiply by `value`, add it, or put it there."
        ),
    ]
    site: Annotated[
        Name, Meta(description="Such as head_output, post_mlp, residual, q, mlp_hidden, attention_weights.")
    ]
    layer: Annotated[
        Count | None, Meta(description="Null for token_embeddings and final_residual, which are there once.")
    ] = None
    heads: Annotated[list[Count], Meta(max_length=10_000, description="Which of them; null: all.")] | None = None
    neurons: (
        Annotated[list[Count], Meta(max_length=1_000_000, description="Which of mlp_hidden; null: all.")] | None
    ) = None
    positions: Annotated[
        Literal["all", "prompt", "generated", "last"] | Annotated[list[Count | StartStop], Meta(max_length=100_000)],
        Meta(
            description="`last` is the prompt's last, where the first token is decided; or a list of positions and "
            "[start, stop), counted from 0. Of attention weights they are the queries'."
        ),
    ] = "all"
    value: Annotated[
        float | Annotated[list[float], Meta(max_length=1_000_000)] | Literal["prompt"] | ValueSource | None,
        Meta(
            description="A number, or a vector as wide as the site, with `neurons` as long as those, of attention "
            "weights over the keys from position 0 on; or where they are to be taken from. null for zero, and for a "
            "mean over the prompt, which may be called `prompt` as well."
        ),
    ] = None


Interventions = Annotated[list[Intervention], Meta(max_length=1000)]
