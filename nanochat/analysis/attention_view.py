"""Attention as it is looked at: of one head or of several combined, without the sink, weighted by values."""

import re
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np

from nanochat.errors import CancelledError, TraceNotFoundError
from nanochat.traces.formats import FORMATS
from nanochat.traces.trace import Trace

Combine = Literal["mean", "max"]
Head = tuple[int, int]  # layer and head
Part = tuple[int, int]  # [start, stop), as in numpy past the end is nothing

_NORMS, _VALUES = "value_norms.layer_{}", "layer_activations.layer_{}.v"
_WITH_VALUES = re.compile(r"value_norms\.layer_(\d+)|layer_activations\.layer_(\d+)\.v")


def without_sink(rows: np.ndarray) -> np.ndarray:
    """Whole rows (T, S) without position 0: A[i, j] / sum of A[i, k] over k > 0, float32.

    A row with nothing on other positions, as the first one is, becomes 0.
    """
    kept = rows.astype(np.float32)
    kept[:, :1] = 0
    sums = kept.sum(axis=1, dtype=np.float64, keepdims=True)
    return np.divide(kept, sums, out=np.zeros_like(kept), where=sums > 0, casting="same_kind")


def value_norms(trace: Trace, layer: int) -> np.ndarray | None:
    """The L2 norm of each position's values, (S, H_kv) float32; None where the trace holds neither them nor values."""
    names = trace.names()
    if (name := _NORMS.format(layer)) in names:
        return trace.tensor(name, 0)
    if (name := _VALUES.format(layer)) in names:
        return np.linalg.norm(trace.tensor(name, 0), axis=-1)
    return None


def layers_with_values(names: Sequence[str]) -> list[int]:
    """The layers whose attention can be weighted by values."""
    found = (_WITH_VALUES.fullmatch(name) for name in names)
    return sorted({int(match[1] or match[2]) for match in found if match})


def attention_view(
    trace: Trace,
    heads: Sequence[Head],
    combine: Combine = "mean",
    *,
    hide_sink: bool = False,
    value_weighted: bool = False,
    rows: Part | None = None,
    columns: Part | None = None,
    cancel: threading.Event | None = None,
) -> np.ndarray:
    """A part of one head's attention, or of several heads' mean or maximum: numpy's of the same heads, in float32.

    Each head by itself first loses the sink (`without_sink`), then is weighted by values: A[i, j] * ||v[j]||, v of
    the head's key-value group (Kobayashi et al. 2020, arXiv:2004.10102, with v before the output projection).

    Returns:
        (rows, columns) float32.

    Raises:
        TraceNotFoundError: the trace lacks a layer, a head or the values. CancelledError: `cancel` was set.
    """
    assert heads
    row_part, column_part = slice(*(rows or (0, None))), slice(*(columns or (0, None)))
    read = _reader(trace)
    norms = lru_cache(lambda layer: _norms_of(trace, layer)) if value_weighted else None
    total: np.ndarray | None = None
    for layer, head in heads:
        if cancel is not None and cancel.is_set():
            raise CancelledError("Cancelled: the attention was not read.")
        count = _head_count(trace, layer, head)
        if hide_sink:
            weights = without_sink(read(layer, head, row_part, slice(None)))[:, column_part]
        else:
            weights = read(layer, head, row_part, column_part).astype(np.float32, copy=False)
        if norms is not None:
            of_layer = norms(layer)
            weights = weights * of_layer[column_part, head * of_layer.shape[1] // count]
        if total is None:
            total = weights if len(heads) == 1 else weights.copy()
        elif combine == "max":
            np.maximum(total, weights, out=total)
        else:
            total += weights
    assert total is not None
    return total / np.float32(len(heads)) if combine == "mean" and len(heads) > 1 else total


def _head_count(trace: Trace, layer: int, head: int) -> int:
    """How many heads the layer has, where that head is one of them."""
    name = f"attention_weights.layer_{layer}"
    if name not in trace.names():
        raise TraceNotFoundError(f"{trace.trace_id} has no attention of layer {layer}.")
    heads = trace.shape(name)[1]
    if head >= heads:
        raise TraceNotFoundError(f"Layer {layer} of {trace.trace_id} has the heads 0 to {heads - 1}, not {head}.")
    return heads


def _norms_of(trace: Trace, layer: int) -> np.ndarray:
    norms = value_norms(trace, layer)
    if norms is None:
        raise TraceNotFoundError(
            f"{trace.trace_id} holds no values of layer {layer}: capture it with the site value_norms or v."
        )
    return norms


def _reader(trace: Trace) -> Callable[[int, int, slice, slice], np.ndarray]:
    """Reads a part of a head; in formats that are read as text, a layer at once."""
    if FORMATS[trace.format].compact:
        return lambda layer, head, rows, columns: trace.tensor(
            f"attention_weights.layer_{layer}", (0, head, rows, columns)
        )
    whole = lru_cache(1)(lambda layer: trace.tensor(f"attention_weights.layer_{layer}", 0))
    return lambda layer, head, rows, columns: whole(layer)[head, rows, columns]
