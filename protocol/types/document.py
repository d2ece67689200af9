"""A trace as a whole."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from protocol.types import meanings
from protocol.types.analysis import Analysis, Metric
from protocol.types.traces import TokenRow, TraceSummary


class TraceDocument(TraceSummary, kw_only=True):
    """All of a trace but its tensors."""

    tokens: Annotated[list[TokenRow], Meta(description="One row a position, the prompt's first.")]
    analysis: Annotated[Analysis, meanings.ANALYSIS]
    metrics: Annotated[dict[str, Metric], meanings.METRICS]
