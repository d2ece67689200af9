"""The traces folders that sessions use: what is in them as it was last found, and word of every change."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

from daemon.folders.file_events import FileEvents
from daemon.folders.inotify_events import InotifyEvents, open_events
from daemon.folders.unsettled import UnsettledFiles
from daemon.folders.watch import Watch
from daemon.folders.watch_threads import WatchThreads
from nanochat.errors import NanoscopeError, StorageError
from nanochat.system.text import shortened
from nanochat.trace_storage import TraceEntry, TraceStorage
from nanochat.traces.catalogue import Catalogue
from protocol.types import TracesChanged, WatchInfo

SCAN_SECONDS = 1.0  # of reading new files, before what was found is shown; twice as long each time that some are left
LONGEST_SCAN_SECONDS = 4.0  # looking at, sorting and comparing very many takes its time too
AGAIN_SECONDS = 1.0  # after a failure
SHOWN_PATH = 1000  # characters of a folder's path that all clients see
END_SECONDS = 5.0  # for the threads at the end

log = logging.getLogger("nanoscope.watch")


def difference(
    before: Mapping[str, TraceEntry], after: Mapping[str, TraceEntry]
) -> tuple[list[str], list[str], list[str]]:
    """Ids of traces that came, changed (in size, time or what a listing shows of them) and went."""
    added = [trace_id for trace_id in after if trace_id not in before]
    changed = [trace_id for trace_id, entry in after.items() if before.get(trace_id, entry) != entry]
    return added, changed, [trace_id for trace_id in before if trace_id not in after]


class TraceFolder:
    """A watched traces folder. Listings come from memory; threads may share it.

    Args:
        path: absolute; it may be missing.
        real_path: where it lies, as `os.path.realpath` said last.
        format: of new traces.
        catalogue: what is known of files, shared by all folders.
        events: the process's observer.
        threads: look at the folder.
        polling: look for changes by the clock alone.
        notify: called with every change, on one of the threads.
    """

    def __init__(
        self,
        path: Path,
        real_path: str,
        format: str,
        catalogue: Catalogue,
        events: FileEvents | InotifyEvents,
        threads: WatchThreads,
        *,
        polling: bool,
        notify: Callable[[TraceFolder, TracesChanged], None],
    ):
        self.path, self.real_path = path, real_path
        self._format, self._catalogue, self._notify = format, catalogue, notify
        self.first_scan: Future[None] = Future()
        self.watch = Watch(path, self._rescan, events, threads, polling=polling)
        self._lock = threading.Lock()
        self._storage: TraceStorage | None = None
        self._problem: NanoscopeError | None = None
        self._entries: Sequence[TraceEntry] = ()  # never changed in place
        self._last_notified: dict[str, TraceEntry] = {}  # what listeners know of
        self._meanwhile: dict[str, TraceEntry | None] = {}  # saved or deleted here (None) while a scan runs
        self._saved_early: set[str] = set()  # saved here before the first scan had ended: news, unlike what it finds
        self._half_written = UnsettledFiles()
        self._parts = 0  # scans in a row that left files to the next

    @property
    def storage(self) -> TraceStorage:
        """Where traces are read, saved and deleted. Raises StorageError: something other than a folder is there."""
        with self._lock:
            if self._storage is None:
                self._storage = TraceStorage(
                    self.path, format=self._format, catalogue=self._catalogue, on_change=self._own_change
                )
            return self._storage

    def entries(self) -> Sequence[TraceEntry]:
        """All traces, newest first, from memory; a trace saved here is among them at once.

        Waits for the first scan: `first_scan` is done when it is. Raises StorageError if the folder cannot be read.
        """
        self.first_scan.result()
        if self._problem is not None:
            raise self._problem
        return self._entries

    def close(self) -> None:
        """End the watch, without waiting for it; whoever waits for the first scan waits no more."""
        self.watch.close()
        self._finish_first_scan()

    def describe(self) -> WatchInfo:
        """How the folder is watched, from memory."""
        health, problem = self.watch.health, self._problem
        return WatchInfo(
            traces_dir=shortened(str(self.path), SHOWN_PATH),
            healthy=health.healthy and problem is None,
            method=health.method,
            traces=len(self._entries),
            note=shortened(str(problem) if problem else health.note, SHOWN_PATH),
        )

    def _own_change(self, trace_id: str, entry: TraceEntry | None) -> None:
        """Show what this process has saved or deleted; listeners hear of it with the next rescan."""
        with self._lock:
            self._meanwhile[trace_id] = entry
            self._entries = _with(self._entries, {trace_id: entry})
            if not self.first_scan.done():
                self._saved_early.add(trace_id)
        self.watch.hint()

    def _rescan(self) -> float | None:
        with self._lock:
            self._meanwhile.clear()
        try:
            found, left = self.storage.scan(min(SCAN_SECONDS * 2**self._parts, LONGEST_SCAN_SECONDS))
        except StorageError as error:
            return self._fail(error)
        except Exception:
            if self._problem is None:  # said once
                log.exception("%s could not be looked at", self.path)
            return self._fail(StorageError(f"{self.path} could not be looked at; `nanoscope logs` has the reason."))
        self._parts = self._parts + 1 if left else 0
        if left and not self.first_scan.done():  # half a listing would look like a whole one
            return 0.0
        with self._lock:
            shown = {entry.trace_id: entry for entry in self._entries}
            shown.update((key, entry) for key, entry in self._meanwhile.items() if entry is not None)
        entries, wanted = self._half_written.sort_out(found, shown, first=not self.first_scan.done())
        with self._lock:
            self._entries = entries = _with(entries, self._meanwhile)
            self._problem = None
        self._notify_changes({entry.trace_id: entry for entry in entries})
        return 0.0 if left else wanted

    def _fail(self, error: NanoscopeError) -> float:
        if self._problem is None:
            log.warning("%s", error)
        self._problem = error
        self._finish_first_scan()
        return AGAIN_SECONDS

    def _finish_first_scan(self) -> bool:
        with self._lock:
            first = not self.first_scan.done()
            if first:
                self.first_scan.set_result(None)
            return first

    def _notify_changes(self, now: dict[str, TraceEntry]) -> None:
        before, self._last_notified = self._last_notified, now
        if self._finish_first_scan():
            before = {trace_id: entry for trace_id, entry in now.items() if trace_id not in self._saved_early}
        added, changed, removed = difference(before, now)
        if added or changed or removed:
            self._notify(self, TracesChanged(traces_dir=str(self.path), added=added, changed=changed, removed=removed))


def _with(entries: Sequence[TraceEntry], changes: Mapping[str, TraceEntry | None]) -> Sequence[TraceEntry]:
    """A copy of a listing with traces put in, or taken out (None)."""
    if not changes:
        return entries
    kept = [entry for entry in entries if entry.trace_id not in changes]
    for entry in filter(None, changes.values()):
        place = next((index for index, other in enumerate(kept) if other.place < entry.place), len(kept))
        kept.insert(place, entry)
    return kept


class TraceFolders:
    """All folders in use, each watched while somebody uses it. Threads may share it.

    Args:
        default: the daemon's own folder, watched from its first use to the end.
        format: of new traces.
        polling: look for changes by the clock alone.
        notify: called with every change in a folder, on a thread.
    """

    def __init__(self, default: Path, format: str, polling: bool, notify: Callable[[TraceFolder, TracesChanged], None]):
        self._format, self._polling, self._notify = format, polling, notify
        self._events, self._threads, self._catalogue = open_events(), WatchThreads(), Catalogue()
        self._lock = threading.Lock()  # never held while a path is looked up: its file system may not answer
        self._users: dict[TraceFolder, int] = {}
        self._default, self._keeps_default = self._new(default.absolute(), os.path.realpath(default)), False
        self._closing: list[Watch] = []

    @property
    def default(self) -> TraceFolder:
        """The daemon's own folder."""
        with self._lock:
            return self._kept_default()

    def open(self, path: Path) -> TraceFolder:
        """A folder for one more user, who hands it back to `close_one`.

        Raises:
            StorageError: not an absolute path, or something other than a folder.
        """
        if not path.is_absolute():
            raise StorageError(f"The traces folder {str(path)!r} is not an absolute path; send the whole path.")
        real_path = os.path.realpath(path)
        with self._lock:
            found = self._lying_at(real_path)
        for folder in found:
            folder.real_path = os.path.realpath(folder.path)  # a link in it may lead elsewhere by now
        with self._lock:
            folder = next(iter(self._lying_at(real_path)), None) or self._new(path, real_path)
            if folder is self._default:
                self._kept_default()  # it is not forgotten between two clients that name it
            self._use(folder)
        try:
            folder.storage  # noqa: B018  raises
        except StorageError:
            self.close_one(folder)
            raise
        return folder

    def close_one(self, folder: TraceFolder) -> None:
        """One user is done; the watch ends with the last. Never waits, and does nothing after `close`."""
        with self._lock:
            if folder not in self._users:
                return
            self._users[folder] -= 1
            if not self._users[folder]:
                del self._users[folder]
                folder.close()
                self._closing = [watch for watch in (*self._closing, folder.watch) if watch.running()]

    def describe(self) -> list[WatchInfo]:
        """How each folder is watched, from memory."""
        with self._lock:
            folders = list(self._users)
        return [folder.describe() for folder in folders]

    def close(self) -> None:
        """Stop watching, and wait a little for what still scans."""
        with self._lock:
            for folder in self._users:
                folder.close()
            watches = [*self._closing, *(folder.watch for folder in self._users)]
            self._users.clear()
        for watch in watches:
            watch.join(END_SECONDS)
        self._threads.join(END_SECONDS)
        self._events.close()
        self._catalogue.close()

    def _kept_default(self) -> TraceFolder:
        if not self._keeps_default:
            self._keeps_default = True
            self._use(self._default)
        return self._default

    def _lying_at(self, real_path: str) -> list[TraceFolder]:
        return [folder for folder in {self._default: 0, **self._users} if folder.real_path == real_path]

    def _use(self, folder: TraceFolder) -> None:
        if folder not in self._users:
            folder.watch.start()
        self._users[folder] = self._users.get(folder, 0) + 1

    def _new(self, path: Path, real_path: str) -> TraceFolder:
        return TraceFolder(
            path,
            real_path,
            self._format,
            self._catalogue,
            self._events,
            self._threads,
            polling=self._polling,
            notify=self._notify,
        )
