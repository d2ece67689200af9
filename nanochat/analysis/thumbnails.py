"""Each attention head as a small picture. Traces of long texts keep them: pooled anew, all weights are read."""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nanochat.errors import CancelledError
from nanochat.traces.tensors import TensorInfo
from nanochat.traces.trace import Trace

CELLS = 32  # of a picture's sides, at most
KEPT_FROM = 2 * CELLS  # positions, from which on a capture keeps them
WEIGHTS, THUMBNAILS = "attention_weights.", "attention_thumbnails."
_LAYER = re.compile(r"attention_weights\.layer_(\d+)")


def pooled(weights: np.ndarray) -> np.ndarray:
    """The largest weight in each block of cells, in 255ths.

    Args:
        weights: (1, H, S, S), 0 to 1.

    Returns:
        (1, H, n, n) uint8, n = min(S, CELLS). Block i of a side begins at position floor(i * S / n). A block that holds
        NaN is 0.
    """
    size = weights.shape[-1]
    count = min(size, CELLS)
    if not weights.size:
        return np.zeros((*weights.shape[:2], count, count), np.uint8)
    starts = np.arange(count) * size // count
    ends = [*starts[1:], size]
    rows = [weights[:, :, start:end].max(axis=2) for start, end in zip(starts, ends, strict=True)]  # reduceat is slow
    blocks = np.maximum.reduceat(np.stack(rows, axis=2), starts, axis=3).astype(np.float32)
    return np.rint(np.nan_to_num(blocks).clip(0, 1) * 255).astype(np.uint8)


def kept_thumbnails(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The thumbnails that a capture keeps beside its tensors: none of short texts, whose weights are soon pooled."""
    return {
        name.replace(WEIGHTS, THUMBNAILS): pooled(array)
        for name, array in tensors.items()
        if name.startswith(WEIGHTS) and array.shape[-1] >= KEPT_FROM
    }


def kept_infos(infos: Mapping[str, TensorInfo]) -> dict[str, TensorInfo]:
    """What `kept_thumbnails` are going to be."""
    return {
        name.replace(WEIGHTS, THUMBNAILS): TensorInfo((*info.dims[:2], CELLS, CELLS), "uint8")
        for name, info in infos.items()
        if name.startswith(WEIGHTS) and info.dims[-1] >= KEPT_FROM
    }


@dataclass(frozen=True)
class LayerCells:
    """The thumbnails of one layer, (H, n, n) uint8; `kept`: the trace has them."""

    cells: np.ndarray
    kept: bool


def attention_layers(trace: Trace) -> list[int]:
    """The layers whose attention weights a trace holds, in order."""
    found = (_LAYER.fullmatch(name) for name in trace.names())
    return sorted(int(match[1]) for match in found if match and _is_square(trace.shape(match[0])))


def layer_thumbnails(trace: Trace, layer: int, cancel: threading.Event | None = None) -> LayerCells:
    """The thumbnails of a layer's heads: those that the trace keeps, else pooled head by head.

    Raises:
        TraceUnreadableError: a tensor's bytes are damaged. CancelledError: `cancel` was set.
    """
    weights, kept = f"{WEIGHTS}layer_{layer}", f"{THUMBNAILS}layer_{layer}"
    _, heads, size, _ = trace.shape(weights)
    count = min(size, CELLS)
    if kept in trace.names() and trace.shape(kept) == (1, heads, count, count) and trace.dtype(kept) == "uint8":
        return LayerCells(trace.tensor(kept, 0), kept=True)
    cells = np.empty((heads, count, count), np.uint8)
    for head in range(heads):
        if cancel is not None and cancel.is_set():
            raise CancelledError("Cancelled: the thumbnails were not made.")
        cells[head] = pooled(trace.tensor(weights, (slice(None), slice(head, head + 1))))[0, 0]
    return LayerCells(cells, kept=False)


def _is_square(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and shape[0] == 1 and shape[2] == shape[3]
