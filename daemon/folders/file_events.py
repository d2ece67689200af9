"""watchdog behind a small face: who watches a folder is told that something in it may have changed, and no more."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from protocol.trace_formats import FORMATS

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver, ObservedWatch

ENDINGS = tuple(f".{name}" for name in FORMATS)
NETWORK_FILE_SYSTEMS = (  # what their servers and other hosts change raises no events here
    "nfs", "cifs", "smb", "9p", "afs", "ceph", "coda", "davfs", "drvfs", "fuse.", "glusterfs", "gpfs", "grpcfuse",
    "lustre", "macfuse", "ncpfs", "osxfs", "prl_fs", "vboxsf", "virtiofs", "vmhgfs",
)  # fmt: skip
LIMITS = {errno.ENOSPC: "fs.inotify.max_user_watches", errno.EMFILE: "fs.inotify.max_user_instances"}

log = logging.getLogger("nanoscope.watch")

Hint = Callable[[bool], None]  # True: the folder itself went, or events were lost


def file_system_of(path: Path) -> str:
    """The type of the file system that a path is on, or would be: "ext4", "nfs4"; "" if it is not known."""
    real = os.path.realpath(path)
    try:
        mounts = {disk.mountpoint: disk.fstype for disk in psutil.disk_partitions(all=True)}
    except OSError:
        return ""
    folders = (str(folder) for folder in (Path(real), *Path(real).parents))
    return next((mounts[folder] for folder in folders if folder in mounts), "")


def is_network(file_system: str) -> bool:
    """Whether changes on such a file system may come without an event."""
    return file_system.lower().startswith(NETWORK_FILE_SYSTEMS)


def concerns_traces(name: str) -> bool:
    """Whether a file of that name may be a trace: not a hidden one, such as our own before they have their names."""
    return not name.startswith(".") and name.endswith(ENDINGS)


class _Handler:
    """What watchdog calls, on its thread, which an exception would end."""

    def __init__(self, folder: str, hint: Hint):
        self._folder, self._hint = folder, hint

    def dispatch(self, event: FileSystemEvent) -> None:
        try:
            paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
            if event.is_directory and event.event_type in ("deleted", "moved") and self._folder in paths:
                self._hint(True)
            elif any(concerns_traces(os.path.basename(path)) for path in paths):
                self._hint(False)
        except Exception:
            log.exception("a file event was lost")


class _LossNotice(logging.Handler):
    """watchdog tells of an overflow, and so of lost events, in its log alone."""

    def __init__(self, notice: Callable[[], None]):
        super().__init__(logging.WARNING)
        self._notice = notice

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in record.getMessage().lower():
            self._notice()


@dataclass
class _Watched:
    watch: ObservedWatch
    handlers: dict[object, Any] = field(default_factory=dict)  # by owner


class FileEvents:
    """The process's one observer of files, started when a folder is first watched. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._observer: BaseObserver | None = None
        self._watches: dict[str, _Watched] = {}
        self._hints: dict[object, Hint] = {}
        self._loss_notice = _LossNotice(self._lost)

    def add(self, owner: object, path: Path, hint: Hint) -> str | None:
        """Tell `hint` of changes in a folder that is there, from any thread; why that cannot be done, or None.

        Raises:
            FileNotFoundError, NotADirectoryError: there is no such folder.
        """
        with self._lock:
            folder, handler = str(path), _Handler(str(path), hint)
            old = self._watches.pop(folder, None)
            try:
                observer = self._started()
                if old is not None:  # it may watch a folder that had this name before
                    observer.unschedule(old.watch)
                new = _Watched(_schedule(observer, handler, folder))
            except (FileNotFoundError, NotADirectoryError):
                raise
            except OSError as error:
                return remedy(error)
            new.handlers = {**(old.handlers if old else {}), owner: handler}
            for other in new.handlers.values():
                observer.add_handler_for_watch(other, new.watch)  # pyright: ignore[reportArgumentType]
            self._watches[folder], self._hints[owner] = new, hint
            return None

    def remove(self, owner: object) -> None:
        """Tell an owner no more; harmless when repeated."""
        with self._lock:
            self._hints.pop(owner, None)
            for folder, watched in list(self._watches.items()):
                handler = watched.handlers.pop(owner, None)
                if handler is None or self._observer is None:
                    continue
                if watched.handlers:
                    self._observer.remove_handler_for_watch(handler, watched.watch)
                else:
                    del self._watches[folder]
                    self._observer.unschedule(watched.watch)

    def alive(self, path: Path) -> bool:
        """Whether events of a folder still come, as far as threads tell."""
        with self._lock:
            watched = self._watches.get(str(path))
            if watched is None or self._observer is None or not self._observer.is_alive():
                return False
            return any(emitter.watch == watched.watch and emitter.is_alive() for emitter in self._observer.emitters)

    def close(self) -> None:
        """Stop the observer and wait for its threads."""
        with self._lock:
            observer, self._observer = self._observer, None
            self._watches.clear()
            self._hints.clear()
            logging.getLogger("watchdog").removeHandler(self._loss_notice)
        if observer is not None:
            observer.stop()
            observer.join()

    def _started(self) -> BaseObserver:
        if self._observer is None:
            from watchdog.observers import Observer

            _deliver_moves_at_once()
            observer = Observer()
            observer.start()
            logging.getLogger("watchdog").addHandler(self._loss_notice)
            self._observer = observer
        return self._observer

    def _lost(self) -> None:
        for hint in list(self._hints.values()):
            hint(True)


def _schedule(observer: BaseObserver, handler: _Handler, folder: str) -> ObservedWatch:
    """Watch a folder for the events that matter: those of reading would come back from our own reads."""
    from watchdog import events

    kinds = [
        events.FileCreatedEvent, events.FileModifiedEvent, events.FileAttribEvent, events.FileClosedEvent,
        events.FileMovedEvent, events.FileDeletedEvent, events.DirDeletedEvent, events.DirMovedEvent,
    ]  # fmt: skip
    return observer.schedule(handler, folder, event_filter=kinds, follow_symlink=True)  # pyright: ignore[reportArgumentType]


def _deliver_moves_at_once() -> None:
    """Linux: watchdog keeps a file's leaving, and all that follows it, for half a second, to pair it with a coming."""
    try:
        from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper
    except (ImportError, AttributeError, OSError):
        return
    InotifyMoveEventGrouper.delay = 0.0


def remedy(error: OSError) -> str:
    """Why a folder cannot be watched, and what to do about it."""
    limit = LIMITS.get(error.errno or 0)
    reason = error.strerror or str(error)
    if limit:
        return f"The limit of watched folders is reached ({reason}): raise {limit} with sysctl."
    return f"The folder cannot be watched ({reason})."
