"""Whether a file is a log of this daemon's: only such a one is written to, renamed and dropped when a log is full."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from pathlib import Path

from nanochat.system.private_files import close_to_others, make_folder

FIRST_LINE = b"The log of the nanoscope daemon.\n"
LOOKED_AT = 1 << 16  # bytes, of logs that were begun without that line
LINE = re.compile(rb"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]{4,8} (?:nanoscope|daemon|nanochat)[.:]", re.MULTILINE)


def is_log(path: Path) -> bool:
    """Whether a file may be logged to: a log of ours, an empty file, or no file but a terminal, say. Raises OSError."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
        return not stat.S_ISDIR(status.st_mode)
    with open(path, "rb") as file:
        head = file.read(LOOKED_AT)
    return head.startswith(FIRST_LINE) or LINE.search(head) is not None


def prepare(path: Path) -> None:
    """Begin the log file if it is missing, closed to others as its folder is.

    Raises:
        FileExistsError: something else is there.
        OSError: it cannot be made.
    """
    make_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    except FileExistsError:
        if not is_log(path):
            raise FileExistsError(errno.EEXIST, "It is there already, and no log of the daemon's", str(path)) from None
        close_to_others(path)
        return
    with contextlib.suppress(OSError):  # a full disk; an empty log is one too
        os.write(descriptor, FIRST_LINE)
    os.close(descriptor)


def may_rotate(path: Path, old_files: int) -> bool:
    """Whether the files that a full log goes on to, <path>.1 and so on, are missing or logs of ours."""
    for number in range(1, old_files + 1):
        with contextlib.suppress(FileNotFoundError):
            if not is_log(Path(f"{path}.{number}")):
                return False
    return True
