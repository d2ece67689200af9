"""The table of metrics. Each is one decorated function; analysis, wire, every view and the docs read it here."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, TypeVar

import numpy as np

from nanochat.analysis.head_rows import SPARSITY_THRESHOLD, HeadRows, RowLayout
from nanochat.analysis.logit_rows import LogitRows, NotCapturedError
from nanochat.analysis.site_values import SiteValues

log = logging.getLogger("nanoscope.analysis")
MetricOf = Literal["head", "layer", "token"]
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
class Metric:
    """A row of the table. `span`: what its values lie between; None: from 0, or the least, to the largest."""

    key: str
    function: Callable[..., Any]
    label: str
    short: str
    hint: str
    meaning: str
    unit: str
    span: tuple[float, float] | None

    of: ClassVar[MetricOf]

    def numbers(self, prepared: Any, count: int) -> np.ndarray:
        """(count,) float64. A function that fails costs its own numbers alone: NaN, and a line in the log."""
        try:
            return np.asarray(self.function(prepared), np.float64).reshape(count)
        except NotCapturedError:
            return np.full(count, np.nan)
        except Exception:
            log.exception("the metric %s failed", self.key)
            return np.full(count, np.nan)

    def described(self) -> dict[str, Any]:
        """What a reader needs to show its numbers; plain values."""
        return {
            "of": self.of,
            "label": self.label,
            "short": self.short,
            "hint": self.hint,
            "meaning": self.meaning,
            "unit": self.unit,
            "span": None if self.span is None else list(self.span),
            "over_heads": None,
            "role": None,
        }


@dataclass(frozen=True)
class HeadMetric(Metric):
    """A number of each attention head."""

    over_heads: OverHeads | None
    role: Role | None

    of: ClassVar[MetricOf] = "head"

    def described(self) -> dict[str, Any]:
        role = None if self.role is None else {"words": self.role.words, "at": self.role.at}
        return super().described() | {"over_heads": self.over_heads, "role": role}


@dataclass(frozen=True)
class LayerMetric(Metric):
    """A number of each capture site of each layer."""

    role: None = None

    of: ClassVar[MetricOf] = "layer"


@dataclass(frozen=True)
class TokenMetric(Metric):
    """A number of each token. `of_prompt`: of the prompt's tokens too."""

    of_prompt: bool
    role: None = None

    of: ClassVar[MetricOf] = "token"


HEAD_METRICS: dict[str, HeadMetric] = {}
LAYER_METRICS: dict[str, LayerMetric] = {}
TOKEN_METRICS: dict[str, TokenMetric] = {}

LayerFunction = TypeVar("LayerFunction", bound=Callable[[SiteValues], float])
TokenFunction = TypeVar("TokenFunction", bound=Callable[[LogitRows], np.ndarray])


def all_metrics() -> dict[str, Metric]:
    """Every metric by its key: of heads, then of layers, then of tokens."""
    return {**HEAD_METRICS, **LAYER_METRICS, **TOKEN_METRICS}


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
        texts = _texts(function, label, short, hint, unit)
        HEAD_METRICS[_free(key)] = HeadMetric(key, metric, *texts, span, over_heads, role)
        return metric

    return register


def layer_metric(
    key: str,
    *,
    label: str,
    short: str = "",
    hint: str = "",
    unit: str = "",
    span: tuple[float, float] | None = None,
) -> Callable[[LayerFunction], LayerFunction]:
    """Makes a function of SiteValues, to one number, a metric of every capture site of every layer.

    Args: as of `head_metric`.
    """

    def register(function: LayerFunction) -> LayerFunction:
        LAYER_METRICS[_free(key)] = LayerMetric(key, function, *_texts(function, label, short, hint, unit), span)
        return function

    return register


def token_metric(
    key: str,
    *,
    label: str,
    short: str = "",
    hint: str = "",
    unit: str = "",
    span: tuple[float, float] | None = None,
    of_prompt: bool = True,
) -> Callable[[TokenFunction], TokenFunction]:
    """Makes a function of LogitRows, to (n,) numbers, a metric of every token.

    Args: as of `head_metric`; of_prompt: of the prompt's tokens too, not of the generated ones alone.
    """

    def register(function: TokenFunction) -> TokenFunction:
        texts = _texts(function, label, short, hint, unit)
        TOKEN_METRICS[_free(key)] = TokenMetric(key, function, *texts, span, of_prompt)
        return function

    return register


def _texts(
    function: Callable[..., Any], label: str, short: str, hint: str, unit: str
) -> tuple[str, str, str, str, str]:
    """Label, short name, hint, meaning and unit of a row; the meaning is the docstring's first paragraph."""
    meaning = " ".join((inspect.getdoc(function) or label).split("\n\n")[0].split())
    return label, short or label.lower(), hint, meaning, unit


def _free(key: str) -> str:
    assert key not in all_metrics(), f"there is a metric {key!r} already"
    return key


def described_metrics() -> dict[str, dict[str, Any]]:
    """The whole table for a reader: key to of, label, short, hint, meaning, unit, span, over_heads and role."""
    return {key: metric.described() for key, metric in all_metrics().items()}
