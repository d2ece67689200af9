"""The lock that a daemon holds as long as it lives, as long as its file is the one that others would lock."""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock, Timeout


class LifetimeLock:
    """Held on a file that somebody may remove or replace; whoever holds the one that is there, is the daemon."""

    def __init__(self, path: Path):
        self.path = path
        self._lock = FileLock(path, is_singleton=False, thread_local=False)
        self._file: tuple[int, int] | None = None

    def acquire(self, seconds: float) -> None:
        """Take it. Raises filelock.Timeout where another process keeps it longer."""
        self._lock.acquire(timeout=seconds)
        self._file = identity(self.path)

    def is_in_place(self) -> bool:
        """Whether its file is still the one at its path."""
        return self._file is not None and identity(self.path) == self._file

    def retake(self) -> bool:
        """Lock the file that is there now, made if need be; False where another process has it."""
        self._lock.release()
        try:
            self.acquire(0)
        except Timeout:
            return False
        return True

    def release(self) -> None:
        """Let another daemon be. Harmless when repeated."""
        self._lock.release()


def identity(path: Path) -> tuple[int, int] | None:
    """Which file a path names; None where there is none."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino
