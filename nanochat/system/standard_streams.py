"""Standard streams that no work can fail on: the closed ones opened, notices lost where nobody takes them."""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
from typing import Any

STDIN, STDOUT, STDERR = 0, 1, 2
PIPE_ROOM = 512  # bytes: a pipe that is ready takes as many without waiting, on every system
PATIENCE = 1.0  # seconds for a pipe that is full; after that what comes is lost until there is room again


def prepare() -> frozenset[int]:
    """Make a program's standard streams whole, before it opens anything.

    A closed descriptor is opened on the null device: else the next file or socket would get its number, and whatever
    is printed would be written into it. Notices on stderr no longer raise.

    Returns:
        The descriptors that were closed.
    """
    closed = open_closed()
    if sys.stdin is None:
        sys.stdin = open(STDIN, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(STDOUT, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None or _is_on(sys.stderr, STDERR):
        sys.stderr = notices(STDERR, getattr(sys.stderr, "encoding", None) or "utf-8")
    return closed


def open_closed() -> frozenset[int]:
    """Open those of the descriptors 0 to 2 that are closed on the null device; which they were."""
    closed = frozenset(descriptor for descriptor in (STDIN, STDOUT, STDERR) if not _is_open(descriptor))
    for _ in closed:  # each gets the lowest number that is free
        os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    return closed


def notices(descriptor: int, encoding: str = "utf-8") -> io.TextIOWrapper:
    """A text stream whose writes never raise: what the descriptor does not take is lost."""
    raw: Any = _Notices(descriptor)
    return io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace", write_through=True)


def notice(message: str) -> None:
    """A line on stderr, if there is one that takes it."""
    stream = sys.stderr
    if stream is not None and stream is sys.__stderr__:  # past its buffer: what fails there fails again at the end
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
            stream = notices(stream.fileno(), stream.encoding)
    if stream is not None:  # print would take stdout
        with contextlib.suppress(OSError, ValueError):
            stream.write(f"{message}\n")
            stream.flush()


def discard_output() -> None:
    """Let what is still buffered for stdout go nowhere: Python would fail at it once more when it ends."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    os.dup2(descriptor, sys.stdout.fileno())
    os.close(descriptor)


class _Notices(io.RawIOBase):
    """Writes to a descriptor that stays open; a failure is nobody's."""

    def __init__(self, descriptor: int):
        self._descriptor, self._patience = descriptor, PATIENCE

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        rest = memoryview(data)
        with contextlib.suppress(OSError):
            while rest and self._has_room():
                rest = rest[os.write(self._descriptor, rest[:PIPE_ROOM]) :]
        return len(data)

    def _has_room(self) -> bool:
        """Whether a write would not wait for a reader; a terminal's is a person, who may take long."""
        if not hasattr(select, "poll") or self.isatty():
            return True
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        ready = bool(poll.poll(self._patience * 1000))
        self._patience = PATIENCE if ready else 0.0
        return ready


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _is_on(stream: Any, descriptor: int) -> bool:
    try:
        return stream.fileno() == descriptor
    except (AttributeError, OSError, ValueError):
        return False
