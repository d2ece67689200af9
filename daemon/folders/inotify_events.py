"""Events of all watched folders by one inotify instance and one thread; watchdog's observer has a thread for each."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.folders.file_events import FileEvents, concerns_traces, remedy

if TYPE_CHECKING:
    from watchdog.observers.inotify_c import InotifyEvent, InotifyFD

log = logging.getLogger("nanoscope.watch")

Hint = Callable[[bool], None]  # True: the folder itself went, or events were lost


def open_events() -> FileEvents | InotifyEvents:
    """The process's one source of file events, as good as the system has it."""
    try:
        from watchdog.observers.inotify_c import InotifyFD  # noqa: F401  from 7.0 on, on Linux
    except Exception:  # noqa: BLE001  it raises an error of its own where libc has no inotify
        return FileEvents()
    return InotifyEvents()


class InotifyEvents:
    """As FileEvents, which says what its methods do. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reader: InotifyFD | None = None
        self._folders: dict[str, dict[object, _Folder]] = {}  # by path, then by owner

    def add(self, owner: object, path: Path, hint: Hint) -> str | None:
        """Tell `hint` of changes in a folder that is there; why that cannot be done, or None."""
        with self._lock:
            name = str(path)
            others = {other: folder.hint for other, folder in self._folders.get(name, {}).items()}
            for other in (owner, *others):  # they may watch a folder that had this name before
                self._remove(other)
            try:
                for user, on_hint in {**others, owner: hint}.items():
                    self._folders.setdefault(name, {})[user] = _Folder(self._started(), name, on_hint)
            except (FileNotFoundError, NotADirectoryError):
                raise
            except OSError as error:
                return remedy(error)
            return None

    def remove(self, owner: object) -> None:
        """Tell an owner no more; harmless when repeated."""
        with self._lock:
            self._remove(owner)

    def alive(self, path: Path) -> bool:
        """Whether events of a folder still come."""
        with self._lock:
            folders = self._folders.get(str(path), {})
            running = self._reader is not None and self._reader.is_alive()
            return running and any(folder.alive for folder in folders.values())

    def close(self) -> None:
        """Stop the thread, and wait for it."""
        with self._lock:
            reader, self._reader = self._reader, None
            self._folders.clear()
        if reader is not None:
            reader.stop()
            reader.join()

    def _remove(self, owner: object) -> None:
        for name, folders in list(self._folders.items()):
            folder = folders.pop(owner, None)
            if folder is not None:
                folder.end()
            if not folders:
                del self._folders[name]

    def _started(self) -> InotifyFD:
        if self._reader is None or not self._reader.is_alive():
            from watchdog.observers.inotify_c import InotifyFD

            self._reader = InotifyFD()
            self._reader.start()
        return self._reader


class _Folder:
    """One owner's watch of one folder; the reader calls its `on_` methods, on its thread."""

    def __init__(self, reader: InotifyFD, path: str, hint: Hint):
        from watchdog.observers.inotify_c import InotifyConstants as IN

        mask: Any = IN.IN_ONLYDIR | IN.IN_CREATE | IN.IN_MODIFY | IN.IN_ATTRIB | IN.IN_CLOSE_WRITE | IN.IN_MOVE
        mask |= IN.IN_DELETE | IN.IN_DELETE_SELF | IN.IN_MOVE_SELF
        self.hint, self.alive, self._reader, self._key = hint, True, reader, id(self)
        self._itself = IN.IN_DELETE_SELF | IN.IN_MOVE_SELF
        self._descriptor = reader.add_callback(os.fsencode(path), mask, self, self._key)  # pyright: ignore[reportArgumentType]

    def end(self) -> None:
        """Be called no more."""
        if self.alive:
            self.alive = False
            self._reader.remove_callbacks([(self._descriptor, self._key)])  # pyright: ignore[reportArgumentType]

    def on_event(self, event: InotifyEvent) -> None:
        """Something was done to the folder or in it."""
        try:
            if event.mask & self._itself:
                self.hint(True)
            elif concerns_traces(os.fsdecode(event.name)):
                self.hint(False)
        except Exception:  # the thread is everybody's
            log.exception("a file event was lost")

    def on_watch_deleted(self, wd: int) -> None:
        """The folder is gone."""
        self.alive = False

    def on_queue_overflow(self) -> None:
        """The kernel had more events than it keeps."""
        self.hint(True)
