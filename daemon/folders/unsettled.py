"""Keeps files that are still being written out of a listing until they are whole, or given up."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nanochat.trace_storage import TraceEntry
from nanochat.traces.catalogue import FileKey

STILL_SECONDS = 0.2  # without a change: what a readable file needs to be listed
PATIENCE = 6.0  # without a change: then an unreadable file is listed as such


@dataclass
class _Held:
    state: FileKey
    since: float
    looks: int = 0


class UnsettledFiles:
    """What is held back, from one look at a folder to the next."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}

    def __len__(self) -> int:
        return len(self._held)

    def sort_out(
        self, found: Sequence[TraceEntry], shown: Mapping[str, TraceEntry], *, first: bool = False
    ) -> tuple[list[TraceEntry], float | None]:
        """The entries to show, and the seconds after which to look again, if anything is held back.

        A file counts as whole when it is readable and has not changed for a moment, by its own time or as seen from
        here: clocks of other hosts differ. Of one that is not, what was `shown` of it before stays. At the first look
        all that is readable counts: what another session has just saved is not to be missed.
        """
        now, clock = time.monotonic(), time.time()
        entries: list[TraceEntry] = []
        held: dict[str, _Held] = {}
        again = math.inf
        for entry in found:
            before = shown.get(entry.trace_id)
            if before is entry or before == entry:
                entries.append(entry)
                continue
            seen = self._held.get(entry.trace_id)
            if seen is None or seen.state != entry.state:
                seen = _Held(entry.state, now)
            needed = PATIENCE if not entry.readable else 0.0 if first else STILL_SECONDS
            still = max(now - seen.since, clock - entry.state.mtime_ns / 1e9)
            if still >= needed:
                entries.append(entry)
                continue
            held[entry.trace_id] = seen
            again = min(again, needed - still, STILL_SECONDS * 2**seen.looks)
            seen.looks += 1
            if before is not None:
                entries.append(before)
        self._held = held
        if held:
            entries.sort(key=lambda entry: entry.place, reverse=True)
        return entries, None if again == math.inf else max(again, 0.01)
