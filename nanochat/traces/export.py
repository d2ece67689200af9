"""A trace's content written to a file of its own, which takes no other file's place."""

import contextlib
import os
from pathlib import Path

from nanochat.errors import NanoscopeError, StorageError
from nanochat.traces.atomic_file import draft_in, publish, replace
from nanochat.traces.content import Content
from nanochat.traces.file import TraceFile
from nanochat.traces.format import Format


def export(content: Content, format: Format, final: Path, *, replacing: bool) -> None:
    """Write a whole file or none; `replacing`: what is there gives way.

    Raises StorageError, StorageFullError.
    """
    place = Path(os.path.realpath(final)) if replacing else final
    with draft_in(place.parent, place.name) as draft:
        format.write(draft, content)
        if replacing:
            replace(draft, place)
        elif not publish(draft, place):
            raise StorageError(f"{final} is there already, and is not this trace; name another file.")


def holds_trace(path: Path, trace_id: str, status: os.stat_result) -> bool:
    """Whether a file is the one of that status, or holds the trace in any format."""
    try:
        file = TraceFile(path)
    except NanoscopeError:
        return False
    with contextlib.closing(file):
        if os.path.samestat(file.status(), status):
            return True
        with contextlib.suppress(NanoscopeError):
            return file.scan().document.get("trace_id") == trace_id
    return False
