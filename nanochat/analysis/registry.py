"""The table of metrics. Each is one decorated function; analysis, wire, every view and the docs read it here."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from nanochat.analysis.head_rows import SPARSITY_THRESHOLD, HeadRows, RowLayout

log = logging.getLogger("nanoscope.analysis")
OverHeads = Literal["mean", "max"]
OVER_HEADS: dict[str, Callable[[np.ndarray], np.floating]] = {"mean": np.mean, "max": np.max}


@dataclass(frozen=True)
class Role:
    """What a head with a high score does.

    Args:
        words: after "a head that": "looks one token back".
        at: the score from which on a head is said to do so; an even spread over a short text is half a sink.
        telling: a head is drawn for the role with the highest of these; 0: for none.
    """

    words: str
    at: float
    telling: int = 0


class HeadFunction(Protocol):
    """Weights (H, S, S), or prepared rows, to one number a head, (H,) float64; NaN where it is not defined."""

    def __call__(
        self,
        weights: np.ndarray | HeadRows,
        tokens: Sequence[int] | np.ndarray | None = None,
        *,
        window: int | None = None,
        sparsity_threshold: float = SPARSITY_THRESHOLD,
    ) -> np.ndarray: ...


@dataclass(frozen=True)
class HeadMetric:
    """A row of the table. `span`: what its values lie between; None: from 0 to the largest head's."""

    key: str
    function: HeadFunction
    label: str
    short: str
    hint: str
    meaning: str
    unit: str
    span: tuple[float, float] | None
    over_heads: OverHeads | None
    role: Role | None

    def scores(self, rows: HeadRows) -> np.ndarray:
        """(H,) float64. A function that fails costs its own number alone: NaN, and a line in the log."""
        heads = len(rows.weights)
        try:
            return np.asarray(self.function(rows), np.float64).reshape(heads)
        except Exception:
            log.exception("the metric %s failed", self.key)
            return np.full(heads, np.nan)

    def described(self) -> dict[str, Any]:
        """What a reader needs to show its numbers; plain values."""
        role = None if self.role is None else {"words": self.role.words, "at": self.role.at}
        return {
            "label": self.label,
            "short": self.short,
            "hint": self.hint,
            "meaning": self.meaning,
            "unit": self.unit,
            "span": None if self.span is None else list(self.span),
            "over_heads": self.over_heads,
            "role": role,
        }


HEAD_METRICS: dict[str, HeadMetric] = {}


def head_metric(
    key: str,
    *,
    label: str,
    short: str = "",
    hint: str = "",
    unit: str = "",
    span: tuple[float, float] | None = (0.0, 1.0),
    over_heads: OverHeads | None = None,
    role: Role | None = None,
) -> Callable[[Callable[[HeadRows], np.ndarray]], HeadFunction]:
    """Makes a function of HeadRows a metric of attention heads; its docstring's first paragraph is its meaning.

    What it returns also takes plain weights (H, S, S), with the S tokens where the metric reads them.

    Args:
        key: in every layer's `heads`.
        label: what it is called; short: in a narrow column; "-": in none; hint: below a table, after the short name.
        unit: such as "nats"; "" for none.
        span: what its values lie between; None: from 0 to the largest head's.
        over_heads: how a layer sums its heads up; None: it does not.
        role: for scores of what a head does.
    """

    def register(function: Callable[[HeadRows], np.ndarray]) -> HeadFunction:
        def metric(
            weights: np.ndarray | HeadRows,
            tokens: Sequence[int] | np.ndarray | None = None,
            *,
            window: int | None = None,
            sparsity_threshold: float = SPARSITY_THRESHOLD,
        ) -> np.ndarray:
            if isinstance(weights, HeadRows):
                return function(weights)
            ids = np.arange(weights.shape[-1]) if tokens is None else np.asarray(tokens)
            return function(HeadRows(weights, RowLayout(ids, window), sparsity_threshold))

        metric.__name__, metric.__doc__ = function.__name__, function.__doc__
        meaning = " ".join((inspect.getdoc(function) or label).split("\n\n")[0].split())
        name = short or label.lower()
        HEAD_METRICS[key] = HeadMetric(key, metric, label, name, hint, meaning, unit, span, over_heads, role)
        return metric

    return register


def described_metrics() -> dict[str, dict[str, Any]]:
    """The whole table for a reader: key to label, short, hint, meaning, unit, span, over_heads and role."""
    return {key: metric.described() for key, metric in HEAD_METRICS.items()}
