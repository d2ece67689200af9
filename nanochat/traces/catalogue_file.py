"""The catalogue's file: made private, opened, told from files of others, wiped and thrown away."""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from nanochat.system.private_files import close_to_others, make_folder

VERSION = 7  # of what rows hold; 7: what was changed in words, and where a parent was forked
_MARK = 0x6E616E6F  # sqlite's application id, in the header of the file: whose it is
_CACHE_KIB = 256  # of pages: the system keeps the file in memory as well
_WIPE_SECONDS = 0.2  # for others' reads to end
_RETRY_SECONDS = 0.01
_MAKING_SECONDS = 0.5  # for others to make the file
_HEADER_BYTES = 100
_BESIDE = ("", "-wal", "-shm")
_PAGE_BYTES = 4096
# The beginning of a row, a quarter of a page at most, stands among others, which sqlite moves about and leaves copies
# of; the rest has pages of its own, which it wipes. The padding fills the beginning, so that no text stands in it.
PADDING = f"zeroblob({_PAGE_BYTES // 4})"
_SCHEMA = """
CREATE TABLE files (
    folder BLOB NOT NULL, name BLOB NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
    padding BLOB NOT NULL, entry BLOB NOT NULL, summary BLOB, tensors BLOB, PRIMARY KEY (folder, name)
) WITHOUT ROWID
"""
_FIRST_SCHEMA = _SCHEMA.replace("padding BLOB NOT NULL, ", "")
_FIRST_EDITION = (1, [("files", " ".join(_FIRST_SCHEMA.split()))])  # its version and tables; it left no mark
_making = threading.Lock()  # closing a file that is being made would take this process's locks on it away


def connect(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """Open the file, made if it is missing, for this user alone.

    Raises:
        sqlite3.Error: it cannot be opened, is damaged, or is another program's, which then stays as it is.
    """
    path = Path(os.path.realpath(path))
    try:
        make_folder(path.parent)
        with _making, contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise sqlite3.OperationalError(str(error)) from error
    _check_untouched(path)
    db = open_database(str(path), busy_seconds)
    with contextlib.suppress(OSError):  # it was not wiped: its writer was killed, or others were reading
        if os.stat(f"{path}-wal").st_size:
            wipe(db, busy_seconds)
    for suffix in _BESIDE:
        close_to_others(Path(f"{path}{suffix}"))
    return db


def open_database(name: str, busy_seconds: float) -> sqlite3.Connection:
    """A connection to a database of ours, or to an empty one, which becomes ours."""
    db = sqlite3.connect(name, timeout=busy_seconds, check_same_thread=False, isolation_level=None)
    try:
        is_ours = _check_mark(db)
        db.execute("PRAGMA secure_delete = ON")
        if not is_ours:
            _take_over(db)
        if not is_ours or _number(db, "user_version") != VERSION:
            _create(db)
        _log_ahead(db, busy_seconds)
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    except BaseException:
        db.close()
        raise
    return db


def _number(db: sqlite3.Connection, pragma: str) -> int:
    return db.execute(f"PRAGMA {pragma}").fetchone()[0]


def _peek(path: Path) -> sqlite3.Connection:
    """A connection that reads the file and touches nothing, not even beside it."""
    return sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)


def _check_untouched(path: Path) -> None:
    """`_check_mark` of a file that is not touched; one that others are making is looked at until it is whole."""
    deadline = time.monotonic() + _MAKING_SECONDS
    while True:
        try:
            with closing(_peek(path)) as db:
                _check_mark(db)
            return
        except sqlite3.DatabaseError:
            if time.monotonic() > deadline or not _is_young(path):
                raise
            time.sleep(_RETRY_SECONDS)


def _is_young(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return time.time() - os.stat(path).st_mtime < _MAKING_SECONDS
    return False


def _check_mark(db: sqlite3.Connection) -> bool:
    """Whether the database has our mark, not being empty or the first edition's; sqlite3.Error: it is another's."""
    found = db.execute("SELECT name, sql FROM sqlite_master").fetchall()
    mark = _number(db, "application_id")  # after the tables: whoever makes the file sets it before them
    if mark == _MARK:
        return True
    tables = [(name, " ".join((sql or "").split())) for name, sql in found]
    if mark or (tables and (_number(db, "user_version"), tables) != _FIRST_EDITION):
        raise sqlite3.DatabaseError("another program's database")
    return False


def _take_over(db: sqlite3.Connection) -> None:
    """Empty the first edition's database, which did not wipe what it deleted."""
    if _number(db, "page_count") > 1:
        with _exclusively(db):
            is_ours = _check_mark(db)
            if not is_ours:
                db.execute("DROP TABLE IF EXISTS files")
        if not is_ours:
            db.execute("VACUUM")
    db.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # of a file that is empty yet


def _create(db: sqlite3.Connection) -> None:
    """Mark the database and make its table, in one go: others see all of it or nothing."""
    with _exclusively(db):
        if not _check_mark(db) or _number(db, "user_version") != VERSION:  # no one else was faster
            db.execute(f"PRAGMA application_id = {_MARK}")
            db.execute("DROP TABLE IF EXISTS files")
            db.execute(_SCHEMA)
            db.execute(f"PRAGMA user_version = {VERSION}")


@contextlib.contextmanager
def _exclusively(db: sqlite3.Connection) -> Iterator[None]:
    with db:
        db.execute("BEGIN IMMEDIATE")
        yield


def _log_ahead(db: sqlite3.Connection, busy_seconds: float) -> None:
    """Write changes to a log beside the file first; sqlite does not wait by itself for others who are opening it."""
    deadline = time.monotonic() + busy_seconds
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)


def wipe(db: sqlite3.Connection, busy_seconds: float) -> bool:
    """Bring changes from the log beside the file into it, and empty the log: there what was deleted still stands.

    False: not now, others are reading.
    """
    db.execute(f"PRAGMA busy_timeout = {int(_WIPE_SECONDS * 1000)}")
    try:
        return not db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.OperationalError:
        return False
    finally:
        db.execute(f"PRAGMA busy_timeout = {int(busy_seconds * 1000)}")


def throw_away(path: Path) -> None:
    """Remove a damaged catalogue; one whose header does not have our mark, or no longer, stays."""
    path = Path(os.path.realpath(path))
    with contextlib.suppress(OSError):
        if _has_marked_header(path):
            for suffix in _BESIDE:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{path}{suffix}")


def _has_marked_header(path: Path) -> bool:
    """Whether a file begins as our databases do, as far as sqlite cannot tell any more."""
    with open(path, "rb") as file:
        header = file.read(_HEADER_BYTES)
    return header.startswith(b"SQLite format 3\0") and header[68:72] == _MARK.to_bytes(4, "big")
