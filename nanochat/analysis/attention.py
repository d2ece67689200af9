"""Attention heads as numbers. A new metric is one function under `@head_metric`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from nanochat.analysis.head_rows import SPARSITY_THRESHOLD, HeadRows, RowLayout
from nanochat.analysis.moments import plain_number, plain_numbers
from nanochat.analysis.registry import HEAD_METRICS, OVER_HEADS, Role, head_metric

CELLS_AT_ONCE = 1 << 20  # attention cells (S * S a head) looked at together: all heads of a short text, one of a long
ATTENTION_NAME = re.compile(r"attention_weights\.layer_(\d+)")

# In the order of listings: a new one goes last.


@head_metric("mean_attention", label="Mean weight", short="-", span=None, over_heads="mean")
def mean_attention(rows: HeadRows) -> np.ndarray:
    """Mean weight over valid cells: not of the future, inside the layer's window.

    (H,).
    """
    return rows.cells.mean(axis=1)


@head_metric("max_attention", label="Largest weight", short="-", over_heads="max")
def max_attention(rows: HeadRows) -> np.ndarray:
    """Largest weight of a valid cell.

    (H,).
    """
    return rows.cells.max(axis=1)


@head_metric("attention_entropy", label="Entropy", unit="nats", span=None, over_heads="mean")
def attention_entropy(rows: HeadRows) -> np.ndarray:
    """Mean over queries of the entropy of their weights, the sum of -A ln A.

    (H,), in nats (Shannon 1948); 0 ln 0 = 0.
    """
    return rows.entropy.mean(axis=1)


@head_metric(
    "attention_entropy_normalised",
    label="Entropy, normalised",
    short="norm",
    hint="of an even spread",
    over_heads="mean",
)
def attention_entropy_normalised(rows: HeadRows) -> np.ndarray:
    """Entropy divided by the most it could be; rows that see one key are left out.

    (H,): the mean over queries of the row's entropy divided by ln |V_q|: 0 to 1. NaN if no row sees two.
    """
    several = rows.layout.key_counts > 1
    if not several.any():
        return np.full(len(rows.weights), np.nan)
    return (rows.entropy[:, several] / np.log(rows.layout.key_counts[several])).mean(axis=1)


@head_metric("head_sparsity", label="Sparsity", short="sparse", hint="weights under 0.01", over_heads="mean")
def head_sparsity(rows: HeadRows) -> np.ndarray:
    """Share of valid cells below 0.01: cells not of the future and inside the layer's window.

    (H,); the threshold is a parameter. NaN where a cell is NaN.
    """
    share = (rows.cells < rows.sparsity_threshold).mean(axis=1)
    return np.where(np.isnan(rows.cells).any(axis=1), np.nan, share)


@head_metric(
    "previous_token", label="Previous token", short="previous", role=Role("looks one token back", at=0.3, telling=1)
)
def previous_token(rows: HeadRows) -> np.ndarray:
    """Mean weight on the position before.

    (H,): the mean over q >= 1 of A[q, q-1]; NaN for a text of one token. Olsson et al. 2022,
    https://transformer-circuits.pub/2022/in-context-learning-and-induction-heads/
    """
    queries = np.arange(1, rows.layout.size)
    return rows.mean_mass(queries, queries - 1, len(queries))


@head_metric(
    "duplicate_token",
    label="Duplicate token",
    short="duplicate",
    role=Role("looks at earlier copies of this token", at=0.3),
)
def duplicate_token(rows: HeadRows) -> np.ndarray:
    """Mean weight on earlier positions of the same token.

    (H,): the mean, over queries whose token occurred before, of the mass on all those earlier positions. Positions
    outside the window carry no mass, and their query still counts. NaN where no token repeats. Duplicate token heads:
    Wang et al. 2022, https://arxiv.org/abs/2211.00593
    """
    queries, earlier = rows.layout.repeats
    return rows.mean_mass(queries, earlier, len(np.unique(queries)))


@head_metric(
    "induction",
    label="Induction",
    role=Role("looks at what followed this token last time", at=0.3, telling=2),
)
def induction(rows: HeadRows) -> np.ndarray:
    """Mean weight on the positions that came after earlier ones of the same token.

    (H,): the mean, over queries whose token occurred before at j, of the mass on all positions j + 1, on the trace's
    own text. Where a token follows its equal (j + 1 = q), j + 1 is the query itself and counts too. NaN where no token
    repeats. Olsson et al. 2022,
    https://transformer-circuits.pub/2022/in-context-learning-and-induction-heads/
    """
    queries, earlier = rows.layout.repeats
    return rows.mean_mass(queries, earlier + 1, len(np.unique(queries)))


@head_metric("sink", label="Sink", role=Role("rests on the first token", at=0.5))
def sink(rows: HeadRows) -> np.ndarray:
    """Mean weight on position 0.

    (H,): over the rows that see it, row 0 among them. Attention sinks: Xiao et al. 2023,
    https://arxiv.org/abs/2309.17453
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


def attention_analysis(
    tensors: Mapping[str, np.ndarray], tokens: np.ndarray, windows: Sequence[int | None] | None, threshold: float
) -> dict[str, Any]:
    """Every layer's heads by every metric, and their sums: `analysis.attention`."""
    names = filter(None, map(ATTENTION_NAME.fullmatch, tensors))
    layouts: dict[tuple[int, int | None], RowLayout] = {}  # layers share few windows
    layer_stats = {
        str(layer): layer_attention(tensors[name], layer, tokens, windows, list(HEAD_METRICS), threshold, layouts)
        for layer, name in sorted((int(match[1]), match[0]) for match in names)
    }
    return {"num_layers": len(layer_stats), "layer_stats": layer_stats}


@np.errstate(invalid="ignore")
def layer_attention(
    tensor: np.ndarray,
    layer: int,
    tokens: np.ndarray,
    windows: Sequence[int | None] | None,
    keys: Sequence[str],
    threshold: float = SPARSITY_THRESHOLD,
    layouts: dict[tuple[int, int | None], RowLayout] | None = None,
) -> dict[str, Any]:
    """Some metrics of one layer: those that it sums up, and `heads` with all of them.

    Args:
        tensor: (1, H, S, S).
        tokens: the ids of at least the S positions.
        keys: of the metrics.
        layouts: shared by the layers of one text.
    """
    weights = np.asarray(tensor)[0]  # (H, S, S)
    size, window = weights.shape[1], windows[layer] if windows is not None else None
    assert weights.shape[1] == weights.shape[2] <= len(tokens), "attention rows and tokens do not belong together"
    layouts = {} if layouts is None else layouts
    layout = layouts.setdefault((size, window), RowLayout(tokens[:size], window))
    step = max(1, CELLS_AT_ONCE // weights[0].size)
    pieces = [HeadRows(weights[start : start + step], layout, threshold) for start in range(0, len(weights), step)]
    metrics = {key: HEAD_METRICS[key] for key in keys}
    collected = [
        {key: metric.numbers(piece, len(piece.weights)) for key, metric in metrics.items()} for piece in pieces
    ]
    scores = {key: np.concatenate([piece[key] for piece in collected]) for key in metrics}
    summary: dict[str, Any] = {
        key: plain_number(OVER_HEADS[metric.over_heads](scores[key]))
        for key, metric in metrics.items()
        if metric.over_heads
    }
    columns = [plain_numbers(score) for score in scores.values()]
    return summary | {"heads": [dict(zip(scores, values, strict=True)) for values in zip(*columns, strict=True)]}
