"""Two traces side by side."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from protocol.types import meanings
from protocol.types.base import Count, FolderPath, Id, Params, Result


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
