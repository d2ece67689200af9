"""What may stand for a trace on the command line: its id or a part of it, its path, `latest`, or `@N`."""

from __future__ import annotations

import re

from nanochat.errors import TraceNotFoundError
from nanochat.places import ids_meant, trace_path
from nanochat.text import some_of
from nanochat.trace_storage import TraceStorage


def find_trace(storage: TraceStorage, name: str) -> tuple[TraceStorage, str]:
    """The folder and the id of the trace that is meant.

    Raises:
        TraceNotFoundError: none, or more than one, is meant.
        StorageError: a folder cannot be read.
    """
    path = trace_path(name)
    if path is not None:
        if not path.is_file():
            raise TraceNotFoundError(f"There is no file {path}: name a trace's file, or its id.")
        return TraceStorage(path.parent), path.stem
    entries = storage.list_entries()
    if name == "latest":
        return storage, _numbered(storage, [entry.trace_id for entry in entries if entry.readable], 1)
    ids = [entry.trace_id for entry in entries]
    if match := re.fullmatch(r"@([1-9][0-9]{0,8})", name):
        return storage, _numbered(storage, ids, int(match[1]))
    return storage, _named(storage, ids, name)


def _numbered(storage: TraceStorage, ids: list[str], number: int) -> str:
    if not ids:
        raise TraceNotFoundError(f"There is no trace in {storage.directory} yet: leave --trace out to write one.")
    if number > len(ids):
        raise TraceNotFoundError(f"There is no trace @{number}: there are {len(ids)}.")
    return ids[number - 1]


def _named(storage: TraceStorage, ids: list[str], name: str) -> str:
    chosen = ids_meant(ids, name)
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        raise TraceNotFoundError(f"{name!r} may be {some_of(chosen)}; give more of it.")
    raise TraceNotFoundError(f"There is no trace {name!r} in {storage.directory}; `nanoscope list` has them all.")
