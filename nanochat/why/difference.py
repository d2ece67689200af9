"""What differs between two traces: their tokens, how their heads look at them, and what was computed at each site."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nanochat.analysis.alignment import Pair, head_divergence
from nanochat.analysis.registry import HEAD_METRICS
from nanochat.analysis.stored import trace_analysis, trace_logits
from nanochat.analysis.thumbnails import attention_layers
from nanochat.cancelling import check_cancel
from nanochat.capture.sites import FINAL, NORMS, SITES, WEIGHTS, Site
from nanochat.traces.document import generated_statistics, prompt_statistics
from nanochat.traces.trace import Trace

TokenText = Callable[[int], str]
Names = tuple[str, str]  # of a tensor in A and in B
Layers = list[tuple[int, int]]  # of A and of B, that are set beside each other


@dataclass(frozen=True)
class HeadDifference:
    """A head of A and the same of B; numbers: of each metric of heads, B's minus A's, where both have it."""

    layer: int
    other_layer: int
    head: int
    divergence: float | None  # bits
    numbers: dict[str, float]


@dataclass(frozen=True)
class SiteDifference:
    """A site of A and of B over the positions of both; None where no positions are paired.

    cosine: the mean cosine distance, 0 where both point alike, 1 where they are orthogonal, 2 where they are opposite.
    norm: the mean length of B's minus A's; share: that, divided by the mean length of A's.
    """

    site: str
    layer: int | None
    other_layer: int | None
    cosine: float | None
    norm: float | None
    share: float | None


def surprisals(trace: Trace, text: TokenText, cancel: threading.Event | None = None) -> list[float | None]:
    """Bits of each token of a trace; None where it has no logits to tell them from."""
    tokens, logits = trace.fields.tokens, trace_logits(trace, text, cancel)
    prompt = prompt_statistics(logits, len(tokens.prompt))
    return prompt.surprisal + generated_statistics(logits, len(tokens.generated)).surprisal


def depth_of(trace: Trace) -> int:
    """How many layers the model of a trace has; where it does not tell, as many as were captured."""
    told = (trace.fields.config or {}).get("n_layer")
    return told if type(told) is int and told > 0 else max(attention_layers(trace), default=0) + 1


def paired_layers(a: int, b: int) -> Layers:
    """The layers of two models, of so many each: the same, or where the depths differ those of the same relative depth.

    Each layer of A has one of B; the first has the first, and the last the last.
    """
    if a == b:
        return [(layer, layer) for layer in range(a)]
    return [(layer, int(layer * (b - 1) / max(a - 1, 1) + 0.5)) for layer in range(a)]


def head_differences(
    a: Trace, b: Trace, pairs: Sequence[Pair], text: TokenText, cancel: threading.Event | None = None
) -> list[HeadDifference]:
    """Of every layer whose attention both traces have, each head that both have.

    Raises:
        TraceUnreadableError: a tensor's bytes are damaged. CancelledError: `cancel` was set.
    """
    layers = compared_heads(a, b)
    if not layers:
        return []
    ours, theirs = (_head_numbers(trace, text, cancel) for trace in (a, b))
    found = []
    for i, j, _ in layers:
        divergences = head_divergence(a.attention(i), b.attention(j), pairs, cancel).tolist()
        for head, value in enumerate(divergences):
            one, other = ours.get((i, head), {}), theirs.get((j, head), {})
            numbers = {key: other[key] - one[key] for key in one if key in other}
            found.append(HeadDifference(i, j, head, None if math.isnan(value) else value, numbers))
    return found


def compared_heads(a: Trace, b: Trace) -> list[tuple[int, int, Names]]:
    """The layers of A and of B whose heads are set beside each other, and their weights' names: captured in both."""
    captured = set(attention_layers(a)), set(attention_layers(b))
    layers = [(i, j) for i, j in paired_layers(depth_of(a), depth_of(b)) if i in captured[0] and j in captured[1]]
    return [(i, j, (SITES[WEIGHTS].tensor_name(i), SITES[WEIGHTS].tensor_name(j))) for i, j in layers]


def _head_numbers(
    trace: Trace, text: TokenText, cancel: threading.Event | None
) -> dict[tuple[int, int], dict[str, float]]:
    """The metrics of each layer's heads, those that are numbers."""
    attention = trace_analysis(trace, text, cancel).get("attention") or {}
    return {
        (int(layer), head): {key: row[key] for key in HEAD_METRICS if isinstance(row.get(key), int | float)}
        for layer, statistics in attention.get("layer_stats", {}).items()
        for head, row in enumerate(statistics.get("heads", []))
    }


def site_differences(
    a: Trace, b: Trace, pairs: Sequence[Pair], cancel: threading.Event | None = None
) -> list[SiteDifference]:
    """Of every site that both traces have, layer by layer, where both are equally wide.

    Raises:
        TraceUnreadableError: a tensor's bytes are damaged. CancelledError: `cancel` was set.
    """
    found = []
    for site, i, j, names in compared_sites(a, b):
        check_cancel(cancel)
        numbers = distances(rows_of(a, names[0]), rows_of(b, names[1]), pairs)
        found.append(SiteDifference(site.name, *((i, j) if site.in_layers else (None, None)), *numbers))
    return found


def compared_sites(a: Trace, b: Trace) -> list[tuple[Site, int, int, Names]]:
    """The sites that are set beside each other, with their layers in A and in B, and their tensors' names."""
    layers = paired_layers(depth_of(a), depth_of(b))
    ends = [*layers, (depth_of(a), depth_of(b))]  # of a stream that reaches one past the last block
    ours, theirs, found = a.names(), b.names(), []
    for site in (site for site in SITES.values() if site.name not in (WEIGHTS, NORMS)):
        for i, j in (ends if site.name == "residual" else layers) if site.in_layers else [(0, 0)]:
            names = site.tensor_name(i), site.tensor_name(j)
            if names[0] in ours and names[1] in theirs and _fit(a, b, names):
                found.append((site, i, j, names))
    return found


def _fit(a: Trace, b: Trace, names: Names) -> bool:
    return a.shape(names[0])[2:] == b.shape(names[1])[2:]


def rows_of(trace: Trace, name: str, count: int | None = None) -> np.ndarray:
    """A row a position, (S, width) float64, of the first so many, None: of all; heads stand side by side."""
    values = trace.tensor(name, (0, slice(count)))
    return values.reshape(len(values), -1).astype(np.float64)


def distances(a: np.ndarray, b: np.ndarray, pairs: Sequence[Pair]) -> tuple[float | None, float | None, float | None]:
    """Cosine distance, length of the difference, and that as a share of A's length."""
    both = [(pair.a, pair.b) for pair in pairs if pair.a is not None and pair.b is not None]
    rows = [(i, j) for i, j in both if i < len(a) and j < len(b)]
    if not rows:
        return None, None, None
    left, right = (np.array(side) for side in zip(*rows, strict=True))
    one, other = a[left], b[right]
    lengths = np.linalg.norm(one, axis=1), np.linalg.norm(other, axis=1)
    product = lengths[0] * lengths[1]
    alike = (one == other).all(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = np.where(product > 0, 1 - (one * other).sum(axis=1) / product, 1.0)
    norm = float(np.linalg.norm(other - one, axis=1).mean())
    mean = float(lengths[0].mean())
    return float(np.where(alike, 0.0, cosine).mean()), norm, norm / mean if mean > 0 else None


def differing_notices(a: Trace, b: Trace) -> list[str]:
    """What could not be set side by side, and how layers were, in sentences for a person."""
    sites = _captured_sites(a), _captured_sites(b)
    both = [name for name in sites[0] if name in sites[1]]
    return [*_of_depth(a, b), *_of_lacking(*sites), *_of_width(a, b, both)]


def _of_depth(a: Trace, b: Trace) -> list[str]:
    depths = depth_of(a), depth_of(b)
    if depths[0] == depths[1]:
        return []
    beside = ", ".join(f"{i} with {j}" for i, j in paired_layers(*depths))
    return [
        f"A's model has {depths[0]} layers and B's {depths[1]}: those of the same relative depth stand side by side, "
        f"{beside}."
    ]


def _of_lacking(a: list[str], b: list[str]) -> list[str]:
    lacking = {"A": [name for name in b if name not in a], "B": [name for name in a if name not in b]}
    return [
        f"{name} was captured without {', '.join(sites)}: capture it again with these to compare them."
        for name, sites in lacking.items()
        if sites
    ]


def _of_width(a: Trace, b: Trace, sites: list[str]) -> list[str]:
    """Of sites that both have."""
    shapes = {name: (_shape(a, name), _shape(b, name)) for name in sites}
    found = []
    heads = [shape[1] for shape in shapes.pop(WEIGHTS, ())]
    if len(set(heads)) > 1:
        found.append(f"A's layers have {heads[0]} heads and B's {heads[1]}: the first {min(heads)} are compared.")
    if wider := [name for name, (one, other) in shapes.items() if one[2:] != other[2:]]:
        found.append(f"The models differ in width: {', '.join(wider)} cannot be compared.")
    return found


def _captured_sites(trace: Trace) -> list[str]:
    """The sites that a trace has and that are compared; what is kept beside others' is not missed."""
    names, depth = set(trace.names()), depth_of(trace)
    return [
        site.name
        for site in SITES.values()
        if site.name not in (FINAL, NORMS) and any(site.tensor_name(layer) in names for layer in range(depth + 1))
    ]


def _shape(trace: Trace, site: str) -> tuple[int, ...]:
    names = [SITES[site].tensor_name(layer) for layer in range(depth_of(trace) + 1)]
    return next(trace.shape(name) for name in names if name in trace.names())
