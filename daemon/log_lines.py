"""The daemon's log, read: its last lines, and those that come."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

LOOK_SECONDS = 0.25


def last_lines(path: Path, count: int) -> Iterator[str]:
    """The last lines, each with its line break. Raises OSError."""
    with _open(path) as file:
        yield from deque(file, maxlen=count)


def following(path: Path, count: int) -> Iterator[str]:
    """The same, then every line as it comes, without an end; a log that is begun anew is taken up. Raises OSError."""
    file = _open(path)
    try:
        yield from deque(file, maxlen=count)
        while True:
            line = file.readline()
            if line:
                yield line
                continue
            if _replaced(file, path):
                file.close()
                file = _open(path)
            else:
                time.sleep(LOOK_SECONDS)
    finally:
        file.close()


def _open(path: Path) -> TextIO:
    return open(path, encoding="utf-8", errors="replace")


def _replaced(file: TextIO, path: Path) -> bool:
    try:
        return not os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except OSError:
        return False
