"""Names of temporary files, which tell what the file begins with, and the removal of those that dead writers left."""

import contextlib
import hashlib
import os
import platform
import re
import secrets
import stat
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks, and cannot remove a file in use
    fcntl = None

MARKED_BYTES = 64  # of a file's beginning, which its name tells in short
UNFINISHED_MODE = stat.S_ISVTX | stat.S_IRUSR | stat.S_IWUSR  # given as a file is made, so an empty one has it too
DEAD_AFTER_SECONDS = 60.0
DAY_SECONDS = 86_400.0  # instead, where nothing tells whether the writer lives: on other hosts, and without locks
_NAME = re.compile(r"\.([0-9a-f]{8})-([0-9a-f]{16})-([0-9a-f]{32})\.nanoscope-tmp")
_JUST_LOOK = sum(getattr(os, flag, 0) for flag in ("O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"))


def temporary_name(head: bytes) -> str:
    """A new hidden name for a file that begins with `head`.

    It is the file's mark: no other program gives such a name, and a file of other content under it is not ours. An
    empty one, as a writer leaves it that is killed before its first byte, is ours if it has UNFINISHED_MODE.
    """
    token = secrets.token_hex(8)
    return f".{_host()}-{token}-{_digest(token, head)}.nanoscope-tmp"


def _host() -> str:
    return hashlib.blake2b(platform.node().encode(errors="surrogateescape"), digest_size=4).hexdigest()


def _digest(token: str, head: bytes) -> str:
    return hashlib.blake2b(head[:MARKED_BYTES], digest_size=16, key=token.encode(), person=b"nanoscope").hexdigest()


def lock(descriptor: int) -> bool:
    """Take a writer's lock; whether locks tell anything here. Raises BlockingIOError: another has it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def remove_dead_files(folder: Path, dead_after: float = DEAD_AFTER_SECONDS) -> int:
    """Remove our own temporary files whose writers died; the number removed. Only writers into the folder call this."""
    removed = 0
    try:
        names = os.listdir(folder)
    except OSError:
        return 0
    for name in names:
        with contextlib.suppress(OSError):  # what cannot be removed stays
            removed += _remove_if_dead(folder / name, dead_after)
    return removed


def _remove_if_dead(path: Path, dead_after: float) -> bool:
    match = _NAME.fullmatch(path.name)
    if match is None or not stat.S_ISREG(os.lstat(path).st_mode):
        return False
    host, token, digest = match.groups()
    descriptor = os.open(path, os.O_RDONLY | _JUST_LOOK)
    try:
        status = os.fstat(descriptor)
        ours = status.st_uid == os.geteuid() if hasattr(os, "geteuid") else True
        # A writer has its lock before it writes: a file with the mark and without a lock has none any more.
        if not ours or not (_is_unwritten(status) or _digest(token, os.read(descriptor, MARKED_BYTES)) == digest):
            return False
        is_dead = lock(descriptor) and host == _host()
        if time.time() - status.st_mtime < (dead_after if is_dead else max(dead_after, DAY_SECONDS)):
            return False
    finally:
        os.close(descriptor)
    if not os.path.samestat(status, os.lstat(path)):
        return False
    os.unlink(path)
    return True


def _is_unwritten(status: os.stat_result) -> bool:
    return status.st_size == 0 and stat.S_IMODE(status.st_mode) == UNFINISHED_MODE
