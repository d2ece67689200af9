"""Tensors to numbers: what every trace's `analysis` holds, computed by pure functions of arrays.

To add a metric of attention heads, write one function under `@head_metric("its_key")`; a metric of activations goes
into `activation_statistics`, one of logits into `logit_statistics.logits_statistics`. All that `analyze` returns is
plain Python that JSON can hold: None where a number is not finite (a NaN in the tensors) or not defined (no repeats).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np

from nanochat.analysis.head_rows import SPARSITY_THRESHOLD, HeadRows, RowLayout
from nanochat.analysis.logits import join_statistics as join_statistics
from nanochat.analysis.logits import logits_analysis
from nanochat.analysis.logits import logits_statistics as logits_statistics
from nanochat.analysis.logits import token_statistics as token_statistics
from nanochat.analysis.logits import top_logits_statistics as top_logits_statistics
from nanochat.analysis.moments import blocks, moments, plain_number, plain_numbers, pooled

NEAR_ZERO = 1e-6
CELLS_AT_ONCE = 1 << 20  # attention cells (S * S a head) looked at together: all heads of a short text, one of a long
ATTENTION_NAME = re.compile(r"attention_weights\.layer_(\d+)")
ACTIVATION_NAME = re.compile(r"layer_activations\.layer_(\d+)\.(\w+)")


def analyze(
    tensors_source: Mapping[str, np.ndarray],
    *,
    tokens: Sequence[int],
    prompt_length: int,
    windows: Sequence[int | None] | None = None,
    token_text: Callable[[int], str],
    sparsity_threshold: float = SPARSITY_THRESHOLD,
    vocab_size: int | None = None,
) -> dict[str, Any]:
    """The attention, activation and logit statistics of one trace; tensors that were not captured are left out.

    tensors_source: arrays by their dotted names, each read once, one at a time. tokens: the P prompt and N generated
    ids; prompt_length: P. windows: per layer, a query at q sees keys k with 0 <= q - k <= window, None for all.
    token_text: the text of a token id. vocab_size is needed only to recognise a top-K capture with K = vocab.
    """
    ids = np.asarray(tokens, dtype=np.int64)
    return {
        "attention": _attention_analysis(tensors_source, ids, windows, sparsity_threshold),
        "activations": _activation_analysis(tensors_source),
        "logits": logits_analysis(tensors_source, ids, prompt_length, cache(token_text), vocab_size),
    }


# Attention heads


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
    """A row of the table: the number of each head, and how a layer sums its heads up (None: it does not)."""

    function: HeadFunction
    over_heads: Callable[[np.ndarray], np.floating] | None


HEAD_METRICS: dict[str, HeadMetric] = {}


def head_metric(
    key: str, over_heads: Callable[[np.ndarray], np.floating] | None = None
) -> Callable[[Callable[[HeadRows], np.ndarray]], HeadFunction]:
    """Puts a function of HeadRows into every layer's `heads` under `key`; over_heads puts it into the layer itself too.

    What it returns also takes plain weights (H, S, S), with the S tokens where the metric reads them.
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
        HEAD_METRICS[key] = HeadMetric(metric, over_heads)
        return metric

    return register


@head_metric("mean_attention", over_heads=np.mean)
def mean_attention(rows: HeadRows) -> np.ndarray:
    """The mean weight over valid cells, (H,)."""
    return rows.cells.mean(axis=1)


@head_metric("max_attention", over_heads=np.max)
def max_attention(rows: HeadRows) -> np.ndarray:
    """The largest weight of a valid cell, (H,)."""
    return rows.cells.max(axis=1)


@head_metric("attention_entropy", over_heads=np.mean)
def attention_entropy(rows: HeadRows) -> np.ndarray:
    """The mean over queries of -sum_k A ln A, in nats (Shannon 1948), (H,); 0 ln 0 = 0."""
    return rows.entropy.mean(axis=1)


@head_metric("attention_entropy_normalised", over_heads=np.mean)
def attention_entropy_normalised(rows: HeadRows) -> np.ndarray:
    """The mean over queries of the row's entropy divided by ln |V_q|, the most it could be, (H,): 0 to 1.

    Rows that see one key are left out; NaN if no row sees two.
    """
    several = rows.layout.key_counts > 1
    if not several.any():
        return np.full(len(rows.weights), np.nan)
    return (rows.entropy[:, several] / np.log(rows.layout.key_counts[several])).mean(axis=1)


@head_metric("head_sparsity", over_heads=np.mean)
def head_sparsity(rows: HeadRows) -> np.ndarray:
    """The share of valid cells below the threshold, (H,); NaN where a cell is NaN."""
    share = (rows.cells < rows.sparsity_threshold).mean(axis=1)
    return np.where(np.isnan(rows.cells).any(axis=1), np.nan, share)


@head_metric("previous_token")
def previous_token(rows: HeadRows) -> np.ndarray:
    """The mean over q >= 1 of A[q, q-1], (H,); NaN for a text of one token.

    Olsson et al. 2022, https://transformer-circuits.pub/2022/in-context-learning-and-induction-heads/
    """
    queries = np.arange(1, rows.layout.size)
    return rows.mean_mass(queries, queries - 1, len(queries))


@head_metric("duplicate_token")
def duplicate_token(rows: HeadRows) -> np.ndarray:
    """The mean, over queries whose token occurred before, of the mass on all those earlier positions, (H,).

    Positions outside the window carry no mass, and their query still counts. NaN where no token repeats. Duplicate
    token heads: Wang et al. 2022, https://arxiv.org/abs/2211.00593
    """
    queries, earlier = rows.layout.repeats
    return rows.mean_mass(queries, earlier, len(np.unique(queries)))


@head_metric("induction")
def induction(rows: HeadRows) -> np.ndarray:
    """The mean, over queries whose token occurred before at j, of the mass on all positions j + 1, (H,).

    On the trace's own text. Where a token follows its equal (j + 1 = q), j + 1 is the query itself and counts too. NaN
    where no token repeats. Olsson et al. 2022,
    https://transformer-circuits.pub/2022/in-context-learning-and-induction-heads/
    """
    queries, earlier = rows.layout.repeats
    return rows.mean_mass(queries, earlier + 1, len(np.unique(queries)))


@head_metric("sink")
def sink(rows: HeadRows) -> np.ndarray:
    """The mean mass on position 0 over the rows that see it, row 0 among them, (H,).

    Attention sinks: Xiao et al. 2023, https://arxiv.org/abs/2309.17453
    """
    queries = np.arange(rows.layout.reach + 1)
    return rows.mean_mass(queries, np.zeros_like(queries), len(queries))


def model_head_scores(
    attention_for: Callable[[list[int]], Iterable[np.ndarray]],
    bos: int,
    ordinary_tokens: Sequence[int] | np.ndarray,
    repeat_length: int = 25,
    draws: int = 10,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Induction and previous-token scores as a property of the model: (L, H) means over draws of the text BOS + r + r.

    r is repeat_length random ordinary tokens, all different if there are enough. attention_for gives, for token ids,
    each layer's weights (H, S, S) or (1, H, S, S). induction: the mean of A on the whole diagonal at offset
    -(repeat_length - 1), whose first two rows are no repeats yet, so that a perfect head need not reach 1;
    previous_token: on the diagonal at offset -1. Olsson et al. 2022, as in `induction`. A NaN stays NaN here.
    """
    assert repeat_length >= 2, "one token has no diagonal of its own"
    assert draws >= 1, "at least one draw"
    random = np.random.default_rng(seed)
    offsets = {"induction": 1 - repeat_length, "previous_token": -1}
    scores: dict[str, list[list[np.ndarray]]] = {key: [] for key in offsets}
    for _ in range(draws):
        repeated = random.choice(ordinary_tokens, repeat_length, replace=len(ordinary_tokens) < repeat_length).tolist()
        layers = [_diagonal_means(weights, offsets) for weights in attention_for([bos, *repeated, *repeated])]
        for key, per_draw in scores.items():
            per_draw.append([layer[key] for layer in layers])
    return {key: np.mean(per_draw, axis=0) for key, per_draw in scores.items()}


def _diagonal_means(weights: np.ndarray, offsets: Mapping[str, int]) -> dict[str, np.ndarray]:
    """(H,) means of the named diagonals."""
    heads = np.asarray(weights).reshape(-1, *weights.shape[-2:])
    return {
        key: np.diagonal(heads, offset, axis1=1, axis2=2).astype(np.float64).mean(axis=1)
        for key, offset in offsets.items()
    }


@np.errstate(invalid="ignore")
def _attention_analysis(
    tensors: Mapping[str, np.ndarray], tokens: np.ndarray, windows: Sequence[int | None] | None, threshold: float
) -> dict[str, Any]:
    layout = cache(lambda size, window: RowLayout(tokens[:size], window))  # layers share few windows
    layer_stats = {}
    for layer, name in sorted((int(match[1]), match[0]) for match in _matching(tensors, ATTENTION_NAME)):
        weights = np.asarray(tensors[name])[0]  # (H, S, S)
        assert weights.shape[1] == weights.shape[2] <= len(tokens), "attention rows and tokens do not belong together"
        rows = layout(weights.shape[1], windows[layer] if windows is not None else None)
        layer_stats[str(layer)] = _layer_statistics(weights, rows, threshold)
    return {"num_layers": len(layer_stats), "layer_stats": layer_stats}


def _layer_statistics(weights: np.ndarray, layout: RowLayout, threshold: float) -> dict[str, Any]:
    step = max(1, CELLS_AT_ONCE // weights[0].size)
    pieces = [HeadRows(weights[start : start + step], layout, threshold) for start in range(0, len(weights), step)]
    collected = [{key: metric.function(piece) for key, metric in HEAD_METRICS.items()} for piece in pieces]
    scores = {key: np.concatenate([piece[key] for piece in collected]) for key in HEAD_METRICS}
    summary: dict[str, Any] = {
        key: plain_number(metric.over_heads(scores[key])) for key, metric in HEAD_METRICS.items() if metric.over_heads
    }
    columns = [plain_numbers(score) for score in scores.values()]
    return summary | {"heads": [dict(zip(scores, values, strict=True)) for values in zip(*columns, strict=True)]}


# Activations


@np.errstate(invalid="ignore")
def activation_statistics(values: np.ndarray) -> dict[str, float | None]:
    """The mean, std (divided by the count), max, min and sparsity (share with |x| < 1e-6) of an array of any shape."""
    parts, highest, lowest, zeros = [], [], [], 0
    for block in blocks(values):
        parts.append(moments(block))
        highest.append(block.max())
        lowest.append(block.min())
        zeros += np.count_nonzero(np.abs(block, out=block) < NEAR_ZERO)
    whole = pooled(parts)
    sparsity = np.nan if np.isnan(np.min(lowest)) else zeros / whole.count
    numbers = {"mean": whole.mean, "std": np.sqrt(whole.variance), "max": np.max(highest), "min": np.min(lowest)}
    return {key: plain_number(number) for key, number in (numbers | {"sparsity": sparsity}).items()}


def _activation_analysis(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    layer_stats: dict[str, dict[str, Any]] = {}
    for match in sorted(_matching(tensors, ACTIVATION_NAME), key=lambda match: int(match[1])):
        layer_stats.setdefault(match[1], {})[match[2]] = activation_statistics(tensors[match[0]])
    return {"layer_stats": layer_stats}


def _matching(tensors: Mapping[str, np.ndarray], pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
    return filter(None, map(pattern.fullmatch, tensors))
