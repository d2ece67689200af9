"""What tells traces of a listing apart.

How they were made from a parent, settings that differ among those of one prompt, models other than most have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from nanochat.system.text import on_one_line

if TYPE_CHECKING:
    from protocol.types import TraceRow

SETTINGS: dict[str, Callable[[Any], str]] = {
    "temperature": lambda value: f"T {value:g}",
    "seed": lambda value: f"seed {value}",
    "top_k": lambda value: f"top-k {value or 'all'}",
    "max_tokens": lambda value: f"max {value}",
}


def differences(rows: Sequence[TraceRow]) -> list[str]:
    """Of each row, its lineage, what others of the same prompt have otherwise, and its model where it is unusual."""
    values: dict[tuple[str, str], set[Any]] = {}
    for row in rows:
        for name in SETTINGS:
            values.setdefault((row.prompt, name), set()).add(getattr(row, name))
    models = Counter(row.model for row in rows if row.model is not None)
    usual = models.most_common(1)[0][0] if models else None

    def of(row: TraceRow) -> str:
        if not row.readable:
            return ""
        found = [
            word(getattr(row, name))
            for name, word in SETTINGS.items()
            if getattr(row, name) is not None and len(values[row.prompt, name]) > 1
        ]
        found = [*_lineage(row), *found]
        return ", ".join(found + ([on_one_line(row.model)] if row.model not in (None, usual) else []))

    return [of(row) for row in rows]


def _lineage(row: TraceRow) -> list[str]:
    """How it was made from its parent."""
    forked = [] if row.position is None else [f"forked at {row.position}"]
    return forked if row.changed is None else [*forked, on_one_line(row.changed)]
