"""One line of a listing, as the catalogue keeps it."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import orjson

from nanochat.traces.catalogue import FileKey, Row


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """One line of a listing. Long prompts and responses are cut after 4,000 characters; the summary has them whole.

    `moment`: seconds since the epoch, what listings are ordered by; `state`: of the file that the line tells of.
    What the trace does not tell of its model, its settings and the trace it was forked from is None; so is `changed`
    where nothing was changed in its model.
    """

    trace_id: str
    timestamp: str
    category: str | None
    prompt: str
    response: str
    prompt_tokens: int
    response_tokens: int
    size: int
    format: str
    readable: bool
    reason: str
    folder: Path
    name: str
    moment: float
    state: FileKey
    model: str | None = None
    temperature: float | None = None
    top_k: int | None = None
    seed: int | None = None
    max_tokens: int | None = None
    parent: str | None = None
    position: int | None = None
    changed: str | None = None

    @property
    def path(self) -> Path:
        """The file; made when asked for, since a Path takes more memory than the rest of the line."""
        return self.folder / self.name

    @property
    def place(self) -> tuple[float, str]:
        """Where the line stands in a listing: higher places first."""
        return self.moment, self.trace_id


def entry_of(folder: Path, row: Row) -> TraceEntry:
    """The line of a file. Raises ValueError, TypeError: the row is not as it is written."""
    stem, _, suffix = row.name.rpartition(".")
    shown = os.fsencode(stem).decode("utf-8", "replace")
    kept = orjson.loads(row.entry)
    if "model" in kept:
        kept["model"] = sys.intern(kept["model"])  # thousands of lines have the same one
    return TraceEntry(
        shown, format=sys.intern(suffix), folder=folder, name=row.name, size=row.key.size, state=row.key, **kept
    )
