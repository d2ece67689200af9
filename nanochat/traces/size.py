"""How large a trace is going to be, said before the work: the usual format writes every number out."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from math import prod
from pathlib import Path

from nanochat.errors import StorageFullError
from nanochat.system.text import human_size
from nanochat.traces.tensors import DTYPES, FLOATS, Positions, TensorInfo, step_index

LARGE = 200_000_000  # bytes: what is larger is said before
WRITTEN_OUT = {"float64": 19.0, "float32": 11.6, "float16": 7.6, "bfloat16": 6.8}  # bytes of a number in JSON, measured
INTEGER = 6.0
SMALL = 1.1  # of the digits of a weight: it is small, and its zeros after the point are written too
ZERO = 4  # "0.0,"

Infos = Mapping[str, TensorInfo]


def stored_as(infos: Infos, dtype: str | None) -> dict[str, TensorInfo]:
    """The tensors with what floats are stored as; None: their own."""
    return {
        name: replace(info, dtype=dtype) if dtype and info.dtype in FLOATS else info for name, info in infos.items()
    }


def expected_bytes(infos: Infos, positions: Positions, format: str, *, steps: bool = False) -> int:
    """The bytes of a trace's tensors in a file; `steps`: its steps are spelled out beside them, as JSON does."""
    if format != "json":
        return sum(info.size * DTYPES[info.dtype][0].itemsize for info in infos.values())
    total = 0.0
    for name, info in infos.items():
        total += _written_out(name, info.dims, info.dtype)
        for step in range(positions.steps if steps else 0):
            part = step_index(name, info.dims, positions, step)
            if part is not None:
                shape = [len(range(size)[cut]) for size, cut in zip(info.dims, part, strict=False)]
                total += _written_out(name, (*shape, *info.dims[len(part) :]), info.dtype)
    return int(total)


def _written_out(name: str, shape: tuple[int, ...], dtype: str) -> float:
    each, count = WRITTEN_OUT.get(dtype, INTEGER), prod(shape)
    if not name.startswith("attention_weights.") or len(shape) != 4:
        return count * each
    zeros = count * (shape[2] - 1) / (2 * shape[3]) if shape[2] else 0  # no query sees the keys after it
    return zeros * ZERO + (count - zeros) * each * SMALL


def size_notice(infos: Infos, positions: Positions, format: str, *, steps: bool = False, most: bool = True) -> str:
    """A sentence for a trace that is going to be large, and how it would be smaller; "" for others.

    `most`: the size is the most that it can be.
    """
    size = expected_bytes(infos, positions, format, steps=steps)
    if size <= LARGE:
        return ""
    compact, narrow = (
        expected_bytes(stored_as(infos, dtype), positions, "safetensors") for dtype in (None, "bfloat16")
    )
    ways = [f"as safetensors {human_size(compact)}"] if format == "json" else []
    ways += [f"in bfloat16 {human_size(narrow)}"] if narrow < compact else []
    smaller = f" ({', '.join(ways)})" if ways else ""
    narrower = "; fewer layers, sites, logits or tokens take less" if most else ""
    written = "JSON" if format == "json" else format
    return f"The trace takes {'up to ' * most}{human_size(size)} as {written}{smaller}{narrower}."


def check_room(folder: Path, size: int) -> None:
    """Raise StorageFullError where the disk has no room for so many bytes, as far as it says."""
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(folder).free
        if size > free:
            raise StorageFullError(
                f"The trace may take {human_size(size)}, and {folder} has {human_size(free)} left. Free some space, "
                "name another folder, use the format safetensors, or capture fewer layers, sites, logits or tokens."
            )
