"""The daemon's log: a rotated file of this user's own; what clients say is never in it."""

from __future__ import annotations

import faulthandler
import io
import logging
import os
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from daemon import own_log
from nanochat.system.standard_streams import STDERR, STDOUT, notices
from nanochat.system.text import shortened

LARGEST_BYTES = 2_000_000
OLD_FILES = 2  # beside the one being written
RECORD_LIMIT = 20_000  # characters of one record, in which there may be what a client sent
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
OUR_LOGGERS = ("nanoscope", "daemon", "nanochat")
# At INFO these write whole message bodies, or every connection.
QUIET_LOGGERS = ("pygls", "jsonrpcserver", "asyncio", "watchdog", "filelock")


class _Short(logging.Formatter):
    """Whatever a record is made of, it does not fill the log."""

    def format(self, record: logging.LogRecord) -> str:
        return shortened(super().format(record), RECORD_LIMIT)


def open_log(path: Path) -> io.TextIOWrapper:
    """The log file, for appending, made with its folder if it is missing; nobody else can read it. Raises OSError."""
    own_log.prepare(path)
    # Unbuffered: what a full disk did not take does not fail once more later.
    file: Any = open(path, "ab", buffering=0, opener=_private)  # noqa: SIM115
    return io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", write_through=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class _LogFile(RotatingFileHandler):
    """Takes the process's own outputs along when it begins a new file."""

    def __init__(self, path: Path, *, takes_outputs: bool):
        self._takes_outputs = takes_outputs
        super().__init__(path, maxBytes=LARGEST_BYTES, backupCount=OLD_FILES, encoding="utf-8")
        self._take_outputs()

    def _open(self) -> io.TextIOWrapper:
        return open_log(Path(self.baseFilename))

    def doRollover(self) -> None:
        if not own_log.may_rotate(Path(self.baseFilename), self.backupCount):  # it grows on, rather than replace them
            self.maxBytes = 0
            return
        try:
            super().doRollover()
        except OSError:  # it grows on, rather than lose lines
            self.stream = self.stream or self._open()
        self._take_outputs()

    def _take_outputs(self) -> None:
        if self._takes_outputs and self.stream is not None:
            for descriptor in (STDOUT, STDERR):
                os.dup2(self.stream.fileno(), descriptor)
            sys.stdout, sys.stderr = notices(STDOUT), notices(STDERR)


def log_to_file(path: Path, *, takes_outputs: bool) -> None:
    """Log to a file from now on, crashes of the interpreter too; where it cannot be written, to stderr.

    Args:
        path: older files are kept beside it as <path>.1 and <path>.2.
        takes_outputs: stdout and stderr go to the file as well (a daemon without a terminal).
    """
    try:
        _log_to(_LogFile(path, takes_outputs=takes_outputs))
    except OSError as error:
        log_to_stderr(logging.INFO)
        logging.getLogger("nanoscope").warning("the log file cannot be written: %s", error)
        return
    if not takes_outputs:
        _add_stderr(logging.INFO)


def log_to_stderr(level: int) -> None:
    """Log to stderr from now on, crashes of the interpreter too."""
    _log_to(logging.NullHandler())
    _add_stderr(level)


def _log_to(handler: logging.Handler) -> None:
    logging.raiseExceptions = False  # a full disk must not fill stderr, which is the same disk
    handler.setFormatter(_Short(FORMAT))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    for name in OUR_LOGGERS:
        logging.getLogger(name).setLevel(logging.INFO)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    faulthandler.enable(file=STDERR)


def _add_stderr(level: int) -> None:
    handler = logging.StreamHandler()
    handler.setLevel(level)
    handler.setFormatter(_Short(FORMAT))
    logging.getLogger().addHandler(handler)
