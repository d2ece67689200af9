"""A few threads for all watches, so that a folder that hangs holds up no other."""

from __future__ import annotations

import threading
import time
from typing import Protocol

LIMIT = 8  # so many folders may hang, as network file systems do, before the others wait


class Stepping(Protocol):
    """What is to be done again and again."""

    def due(self) -> float:
        """When `step` is to be called next, by the monotonic clock."""
        ...

    def step(self) -> bool:
        """Do it; False when it was the last time."""
        ...


class WatchThreads:
    """Calls every `step` when it is due, each by one thread at a time, the one that is due first before the others.

    Threads start as they are needed, and end with the last watch.
    """

    def __init__(self, limit: int = LIMIT):
        self._limit = limit
        self._changed = threading.Condition()
        self._busy: dict[Stepping, bool] = {}
        self._threads = self._waiting = 0
        self._led = False  # whether one of those that wait looks at the clock

    def add(self, one: Stepping) -> None:
        """Begin with it."""
        with self._changed:
            self._busy[one] = False
            if not self._threads:
                self._start_thread()
            self._changed.notify_all()

    def wake(self) -> None:
        """Something is due sooner than it was."""
        with self._changed:
            self._changed.notify_all()

    def _start_thread(self) -> None:
        self._threads += 1
        threading.Thread(target=self._run, name=f"watch {self._threads}", daemon=True).start()

    def _run(self) -> None:
        with self._changed:
            while self._busy:
                one = self._take()
                if one is None:
                    continue
                self._changed.release()
                try:
                    more = one.step()
                finally:
                    self._changed.acquire()
                self._busy[one] = False
                if not more:
                    del self._busy[one]
                    self._changed.notify_all()
            self._threads -= 1

    def _take(self) -> Stepping | None:
        """What is due, for this thread alone; None after a wait."""
        free = [one for one, busy in self._busy.items() if not busy]
        one = min(free, key=lambda one: one.due(), default=None)
        seconds = None if one is None else one.due() - time.monotonic()
        if one is None or seconds is None or seconds > 0:
            self._wait(seconds)
            return None
        self._busy[one] = True
        if not self._led:  # somebody else sees to the clock while this one works
            if self._waiting:
                self._changed.notify()
            elif self._threads < self._limit and len(free) > 1:
                self._start_thread()
        return one

    def _wait(self, seconds: float | None) -> None:
        leads, self._led = not self._led, True
        self._waiting += 1
        try:
            self._changed.wait(seconds if leads else None)
        finally:
            self._waiting -= 1
            if leads:
                self._led = False
