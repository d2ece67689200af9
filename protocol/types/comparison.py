"""Two traces side by side."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from protocol.types import meanings
from protocol.types.base import Count, FolderPath, Id, Params, Result
from protocol.types.why import ESTIMATE, Cost


class CompareTracesParams(Params):
    """Two traces, A and B; long texts take a while: the tokens alone, then a layer at a time show sooner."""

    trace_id: Annotated[Id, meanings.TRACE_ID]
    other_id: Annotated[Id, Meta(description="B, as `list_traces` has it.")]
    other_dir: Annotated[FolderPath | None, Meta(description="B's folder; null: the session's, as A's is.")] = None
    layer: Annotated[
        Count | None, Meta(description="Compare the heads of that layer alone; null: of every layer of both.")
    ] = None
    heads: Annotated[bool, Meta(description="false: align the tokens, and compare no heads.")] = True


class PositionPair(Result):
    """Positions that belong together; null where the other text has something here that this one lacks."""

    a: Annotated[int | None, Meta(description="In A.")]
    b: Annotated[int | None, Meta(description="In B.")]
    same: Annotated[bool, Meta(description="Both are there, and have the same text.")]


class LayerDivergence(Result):
    """How differently the heads of one layer look at the two texts."""

    layer: Annotated[int, Meta(description="The layer.")]
    heads: Annotated[
        list[float | None],
        Meta(
            description="A head each: the mean over paired queries of the Jensen-Shannon divergence, in bits: from 0, "
            "alike, to 1, nothing shared; null where no positions are paired."
        ),
    ]


class CompareTracesResult(Result):
    """The tokens of both texts as one sequence, and the heads that both have."""

    pairs: Annotated[list[PositionPair], Meta(description="In the order of both texts.")]
    layers: Annotated[
        list[LayerDivergence],
        Meta(description="Layers captured in both, and the heads that both have; the first layer first."),
    ]


class DiffTracesParams(Params):
    """Two traces, A and B. Their tensors are read: of long texts it takes a while."""

    trace_id: Annotated[Id, meanings.TRACE_ID]
    other_id: Annotated[Id, Meta(description="B, as `list_traces` has it.")]
    other_dir: Annotated[FolderPath | None, Meta(description="B's folder; null: the session's, as A's is.")] = None
    estimate: Annotated[bool, ESTIMATE] = False


class TokenSide(Result):
    """A token of one of the traces."""

    position: Annotated[int, meanings.POSITION]
    token: Annotated[int, meanings.TOKEN]
    text: Annotated[str, meanings.TOKEN_TEXT]
    surprisal: Annotated[float | None, meanings.SURPRISAL]
    probability: Annotated[float | None, Meta(description="At temperature 1; null with the surprisal.")]


class TokenDifference(Result):
    """The tokens of one pair of `aligned`."""

    a: Annotated[TokenSide | None, Meta(description="A's; null where it has none here.")]
    b: Annotated[TokenSide | None, Meta(description="B's; null where it has none here.")]
    difference: Annotated[
        float | None,
        Meta(description="Of the same text on both sides: B's surprisal minus A's, in bits; else null."),
    ]


class HeadDifference(Result):
    """A head of A and of B."""

    layer: Annotated[int, Meta(description="A's layer.")]
    other_layer: Annotated[int, Meta(description="B's: another where the models are not equally deep.")]
    head: Annotated[int, Meta(description="Which of the layer.")]
    divergence: Annotated[
        float | None, Meta(description="As `compare_traces` has it, in bits: from 0, alike, to 1, nothing shared.")
    ]
    numbers: Annotated[
        dict[str, float], Meta(description="By the keys of the metrics of heads, B's minus A's, where both have it.")
    ]


class SiteDifference(Result):
    """A site of A and of B, over the positions that are paired; null where none are."""

    site: Annotated[str, Meta(description="Such as residual, post_attn, post_mlp.")]
    layer: Annotated[int | None, Meta(description="A's layer; null for a site that is there once.")]
    other_layer: Annotated[int | None, Meta(description="B's: another where the models are not equally deep.")]
    cosine: Annotated[float | None, Meta(description="The mean cosine distance: 0 alike, 1 orthogonal, 2 opposite.")]
    norm: Annotated[float | None, Meta(description="The mean length (L2) of B's minus A's.")]
    share: Annotated[float | None, Meta(description="That as a share of the mean length of A's.")]


class DiffTracesResult(Result):
    """All differences are B's minus A's. An estimate has none: the lists are empty."""

    aligned: Annotated[list[PositionPair], Meta(description="In the order of both texts.")]
    parted_at: Annotated[
        int | None,
        Meta(description="The first position where the texts part; null: they are the same, or an estimate."),
    ]
    tokens: Annotated[list[TokenDifference], Meta(description="One for each pair of `aligned`.")]
    heads: Annotated[list[HeadDifference], Meta(description="Those captured in both; the first layer first.")]
    sites: Annotated[list[SiteDifference], Meta(description="Those captured in both, and equally wide.")]
    notices: Annotated[
        list[str], Meta(description="What was not captured in both, and which layers stand side by side.")
    ] = field(default_factory=list)
    cost: Annotated[Cost | None, Meta(description="What it would take, where that was asked.")] = None
