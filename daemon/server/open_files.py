"""How many open files the process may have, and what is kept of them for its own work."""

from __future__ import annotations

import errno
import os

from protocol.errors import RpcError

RESERVE = 24  # open files that connections leave to traces, the model and the log
LEAST = 48  # what a daemon with few clients needs
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
LOADING = 12  # that importing torch may need


def limit() -> int | None:
    """How many files may be open at once; None: any number."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def check_limit() -> None:
    """Raise RpcError, DAEMON_NOT_STARTED, where there are too few for a daemon."""
    allowed = limit()
    if allowed is not None and allowed < LEAST:
        raise RpcError(
            "DAEMON_NOT_STARTED",
            f"The daemon needs {LEAST} open files, and `ulimit -n` allows {allowed}: raise it, then try again.",
        )


def is_in_reserve(descriptor: int) -> bool:
    """Whether a descriptor, the lowest that was free, is one of those that are kept for other things."""
    allowed = limit()
    return allowed is not None and descriptor >= allowed - RESERVE


def check_room() -> None:
    """Raise RpcError, MODEL_NOT_LOADED, where torch could be imported in part alone, which nothing can mend."""
    opened: list[int] = []
    try:
        for _ in range(LOADING):
            opened.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        raise RpcError(
            "MODEL_NOT_LOADED", f"{too_many()} ({error.strerror}): close some clients, then try again."
        ) from error
    finally:
        for descriptor in opened:
            os.close(descriptor)


def too_many() -> str:
    """What is the matter where there are no more."""
    return f"The daemon may have no more open files; the limit of the shell that started it is {limit()}"
