"""How large a trace is going to be, said before the work: the usual format writes every number out."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace
from pathlib import Path

from nanochat.errors import StorageFullError
from nanochat.system.text import human_size
from nanochat.traces.content import Infos
from nanochat.traces.formats import FORMATS, format_named
from nanochat.traces.tensors import FLOATS, Positions, TensorInfo

LARGE = 200_000_000  # bytes: what is larger is said before


def stored_as(infos: Infos, dtype: str | None) -> dict[str, TensorInfo]:
    """The tensors with what floats are stored as; None: their own."""
    return {
        name: replace(info, dtype=dtype) if dtype and info.dtype in FLOATS else info for name, info in infos.items()
    }


def expected_bytes(infos: Infos, positions: Positions, format: str, *, steps: bool = False) -> int:
    """The bytes of a trace's tensors in a file; `steps`: its steps are spelled out beside them, as JSON does."""
    return format_named(format).expected_bytes(infos, positions, steps)


def size_notice(infos: Infos, positions: Positions, format: str, *, steps: bool = False, most: bool = True) -> str:
    """A sentence for a trace that is going to be large, and how it would be smaller; "" for others.

    `most`: the size is the most that it can be.
    """
    size = expected_bytes(infos, positions, format, steps=steps)
    if size <= LARGE:
        return ""
    small = next(row for row in FORMATS.values() if row.compact)
    compact, narrow = (small.expected_bytes(stored_as(infos, dtype), positions, False) for dtype in (None, "bfloat16"))
    ways = [] if FORMATS[format].compact else [f"as {small.title} {human_size(compact)}"]
    ways += [f"in bfloat16 {human_size(narrow)}"] if narrow < compact else []
    smaller = f" ({', '.join(ways)})" if ways else ""
    narrower = "; fewer layers, sites, logits or tokens take less" if most else ""
    return f"The trace takes {'up to ' * most}{human_size(size)} as {FORMATS[format].title}{smaller}{narrower}."


def check_room(folder: Path, size: int) -> None:
    """Raise StorageFullError where the disk has no room for so many bytes, as far as it says."""
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(folder).free
        if size > free:
            raise StorageFullError(
                f"The trace may take {human_size(size)}, and {folder} has {human_size(free)} left. Free some space, "
                "name another folder, use the format safetensors, or capture fewer layers, sites, logits or tokens."
            )
