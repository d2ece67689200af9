"""When to look at a traces folder again: soon after a file event, every minute, at once when the folder is another."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from daemon.folders.file_events import FileEvents, file_system_of, is_network
from daemon.folders.inotify_events import InotifyEvents
from daemon.folders.watch_threads import WatchThreads

QUIET_SECONDS = 0.25  # after the last of several events
LONGEST_WAIT = 0.7  # after the first of them
LOOK_SECONDS = 0.5  # between looks at the folder itself
RESCAN_SECONDS = 60.0
POLL_SECONDS = 0.6  # between rescans where events do not come
REST = 10.0  # times as long as the last rescan took, between rescans by the clock

log = logging.getLogger("nanoscope.watch")


@dataclass(frozen=True)
class WatchHealth:
    """How a folder is watched: by `events`, or by `polling`; `note` says what is wrong, or why it is polled."""

    method: Literal["events", "polling"] = "events"
    healthy: bool = True
    note: str = ""


class Watch:
    """Calls `rescan` when it is due: events are hints, what a rescan finds is the truth.

    Args:
        path: the folder; it may be missing, and come, go and be replaced.
        rescan: looks at the folder; the seconds after which it wants to be called again, or None.
        events: the process's observer.
        threads: call it; all watches share them.
        polling: rescan by the clock instead.
    """

    def __init__(
        self,
        path: Path,
        rescan: Callable[[], float | None],
        events: FileEvents | InotifyEvents,
        threads: WatchThreads,
        *,
        polling: bool = False,
    ):
        self.path, self.health = path, WatchHealth()
        self._rescan, self._events, self._threads, self._polling = rescan, events, threads, polling
        self._lock = threading.Lock()
        self._first_hint = self._last_hint = math.inf
        self._renew, self._closed = True, False
        self._folder: tuple[int, int] | None = None  # device and inode
        self._folder_mtime = -1
        self._next_rescan, self._next_attempt = 0.0, math.inf
        self._next_look = 0.0  # at the folder itself
        self._cost = 0.0  # seconds of the last rescan
        self._started, self._ended = False, threading.Event()

    def start(self) -> None:
        """Begin with a rescan."""
        self._started = True
        self._threads.add(self)

    def hint(self, renew: bool = False) -> None:
        """Something may have changed; `renew`: even the folder, or events were lost. Threads may call it."""
        with self._lock:
            now = time.monotonic()
            self._last_hint = now
            self._renew |= renew
            first = self._first_hint == math.inf
            if first:  # later hints only put the rescan off
                self._first_hint = now
        if first:
            self._threads.wake(self)

    def close(self) -> None:
        """End after the rescan that runs, if one does, and without waiting for it."""
        self._closed = True
        self._threads.wake(self)

    def running(self) -> bool:
        """Whether it has begun and not ended."""
        return self._started and not self._ended.is_set()

    def join(self, seconds: float) -> None:
        """Wait for the end after `close`."""
        if self._started:
            self._ended.wait(seconds)

    def due(self) -> float:
        """When it is to look at the folder or at the files in it, whichever is sooner."""
        return -math.inf if self._closed else min(self._next_look, self._due())

    def step(self) -> bool:
        """Look; False at the end."""
        if self._closed:
            self._events.remove(self)
            self._ended.set()
            return False
        try:
            self._look_at_folder()
            if time.monotonic() >= self._due():
                self._look_at_files()
        except Exception:  # the thread is everybody's
            log.exception("a traces folder could not be watched; it will be tried again")
        self._next_look = time.monotonic() + LOOK_SECONDS
        return True

    def _due(self) -> float:
        longest = max(LONGEST_WAIT, self._cost * 2)
        return min(self._next_rescan, self._last_hint + QUIET_SECONDS, self._first_hint + longest)

    def _look_at_folder(self) -> None:
        """See whether the folder is still the one that is watched, and whether names in it changed without an event."""
        try:
            status = os.stat(self.path)
            folder = status.st_dev, status.st_ino
        except OSError:
            status, folder = None, None
        dead = self.health.method == "events" and folder is not None and not self._events.alive(self.path)
        if folder != self._folder or self._renew or dead or time.monotonic() >= self._next_attempt:
            self._attach(folder)
            self._next_rescan = 0.0
        elif status is not None and status.st_mtime_ns != self._folder_mtime and self._first_hint == math.inf:
            self.hint()

    def _attach(self, folder: tuple[int, int] | None) -> None:
        """Watch the folder that is there now."""
        self._renew = False
        self._events.remove(self)
        self._folder, health = folder, WatchHealth()
        self._next_attempt = math.inf
        kind = file_system_of(self.path)
        if self._polling:
            health = WatchHealth("polling", note="Polling is what the settings ask for.")
        elif is_network(kind):
            health = WatchHealth("polling", note=f"The folder is on {kind}, which does not tell of changes by others.")
        elif folder is None:
            health = WatchHealth(note="There is no such folder yet; the first trace makes it.")
        else:
            try:
                problem = self._events.add(self, self.path, self.hint)
            except OSError:  # gone again
                self._folder = None
            else:
                if problem:
                    health = WatchHealth("polling", note=problem)
                    self._next_attempt = time.monotonic() + RESCAN_SECONDS
        if health.method == "polling" and health != self.health:
            log.info("traces are found by polling: %s", health.note)
        self.health = health

    def _look_at_files(self) -> None:
        with self._lock:
            self._first_hint = self._last_hint = math.inf
        started = time.monotonic()
        wanted: float | None = None
        try:
            self._folder_mtime = os.stat(self.path).st_mtime_ns
        except OSError:
            self._folder_mtime = -1
        try:
            wanted = self._rescan()
        except Exception:
            log.exception("a traces folder could not be looked at; it will be tried again")
            wanted = RESCAN_SECONDS
        now = time.monotonic()
        self._cost = now - started
        regular = max(POLL_SECONDS, self._cost * REST) if self.health.method == "polling" else RESCAN_SECONDS
        self._next_rescan = now + min(regular, math.inf if wanted is None else wanted)
