"""What a daemon does not take over from whoever starts it, since it serves others later: umask, limits, environment."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Iterator, Mapping

UMASK = 0o077  # traces and the log hold what users wrote
OPEN_FILES = 65_536  # more are never needed; some systems refuse more
# Of Python's own variables those stay that say where its files lie. What the others do (warnings as errors, assertions
# left out, another encoding) one shell may want for its programs, and no other.
PYTHON_PLACES = (
    "PYTHONHOME", "PYTHONPATH", "PYTHONUSERBASE", "PYTHONNOUSERSITE", "PYTHONPLATLIBDIR", "PYTHONPYCACHEPREFIX",
    "PYTHONDONTWRITEBYTECODE",
)  # fmt: skip
TEMPORARY = ("TMPDIR", "TMP", "TEMP") if os.name == "posix" else ()  # a session's own may be removed when it ends
LIMITS = {  # what `ulimit` calls them
    "RLIMIT_NOFILE": "-n", "RLIMIT_FSIZE": "-f", "RLIMIT_CPU": "-t", "RLIMIT_AS": "-v", "RLIMIT_DATA": "-d",
    "RLIMIT_NPROC": "-u",
}  # fmt: skip
TELLING = ("RLIMIT_FSIZE", "RLIMIT_CPU", "RLIMIT_AS", "RLIMIT_DATA")  # as a rule there are none of these
log = logging.getLogger("nanoscope.serving")


def environment_for_a_daemon(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without what concerns the one alone who starts a daemon; names are in UTF-8 in any locale."""
    kept = {
        name: value
        for name, value in environment.items()
        if name not in TEMPORARY and (name in PYTHON_PLACES or not name.startswith("PYTHON"))
    }
    return kept | {"PYTHONUTF8": "1"}


def take_own() -> None:
    """Give this process a umask, limits, a priority and signals of its own, as far as the system lets it.

    What stays as it was is said in the log: everybody who uses the daemon will meet it.
    """
    os.umask(UMASK)
    kept = [*_raised_limits(), *_priority()]
    if kept:
        log.warning(
            "Whoever started the daemon limits it for all: %s. `nanoscope stop`, then start it without.",
            ", ".join(kept),
        )
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _raised_limits() -> Iterator[str]:
    """Raise every limit as far as it may be; those that are still felt."""
    try:
        import resource
    except ImportError:  # Windows
        return
    for name, flag in LIMITS.items():
        if not hasattr(resource, name):
            continue
        number, unlimited = getattr(resource, name), resource.RLIM_INFINITY
        soft, hard = resource.getrlimit(number)
        wanted = hard
        if name == "RLIMIT_NOFILE" and (hard == unlimited or hard > OPEN_FILES):
            wanted = soft if soft == unlimited else max(soft, OPEN_FILES)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(number, (wanted, hard))
        limit = resource.getrlimit(number)[0]
        if name in TELLING and limit != unlimited:
            yield f"ulimit {flag} is {limit:,}"


def _priority() -> Iterator[str]:
    """Be as important as any other program."""
    if not hasattr(os, "setpriority"):
        return
    if os.getpriority(os.PRIO_PROCESS, 0) > 0:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, 0)
    if (nice := os.getpriority(os.PRIO_PROCESS, 0)) > 0:
        yield f"nice is {nice}"
