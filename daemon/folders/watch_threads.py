"""A few threads for all watches, so that a folder that hangs holds up no other."""

from __future__ import annotations

import heapq
import itertools
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
        self._all: set[Stepping] = set()
        self._planned: dict[Stepping, float] = {}  # when each is due, but those that are worked on
        self._queue: list[tuple[float, int, Stepping]] = []  # a heap; what is not as planned any more is passed over
        self._numbers = itertools.count()
        self._threads = self._waiting = 0
        self._started: list[threading.Thread] = []
        self._led = False  # whether one of those that wait looks at the clock

    def add(self, one: Stepping) -> None:
        """Begin with it."""
        with self._changed:
            self._all.add(one)
            self._plan(one)
            if not self._waiting and self._threads < self._limit:  # the others work, and may hang
                self._start_thread()

    def wake(self, one: Stepping) -> None:
        """It is due sooner than it was."""
        with self._changed:
            if one in self._planned:  # else it is planned after its step
                self._plan(one)

    def join(self, seconds: float) -> None:
        """Wait until the threads have ended, once there is nothing left for them; at most so many seconds each."""
        with self._changed:
            started = list(self._started)
        for thread in started:
            thread.join(seconds)

    def _plan(self, one: Stepping) -> None:
        due = self._planned[one] = one.due()
        heapq.heappush(self._queue, (due, next(self._numbers), one))
        if self._waiting and self._queue[0][2] is one:  # whoever looks at the clock waits for another
            self._changed.notify_all()

    def _start_thread(self) -> None:
        self._threads += 1
        thread = threading.Thread(target=self._run, name=f"watch {self._threads}", daemon=True)
        thread.start()
        self._started = [*(one for one in self._started if one.is_alive()), thread]

    def _run(self) -> None:
        with self._changed:
            while self._all:
                one = self._take()
                if one is None:
                    continue
                self._changed.release()
                try:
                    more = one.step()
                finally:
                    self._changed.acquire()
                if more:
                    self._plan(one)
                else:
                    self._all.discard(one)
                    self._changed.notify_all()
            self._threads -= 1

    def _take(self) -> Stepping | None:
        """What is due, for this thread alone; None after a wait."""
        while self._queue and self._planned.get(self._queue[0][2]) != self._queue[0][0]:
            heapq.heappop(self._queue)
        seconds = self._queue[0][0] - time.monotonic() if self._queue else None
        if seconds is None or seconds > 0:
            self._wait(seconds)
            return None
        one = heapq.heappop(self._queue)[2]
        if one.due() > time.monotonic():  # it was put off
            self._plan(one)
            return None
        del self._planned[one]
        if not self._led:  # somebody else sees to the clock while this one works
            if self._waiting:
                self._changed.notify()
            elif self._threads < self._limit and self._planned:
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
