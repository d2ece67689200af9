"""What is known about trace files, so that listings need not read them: a cache in sqlite3, safe to delete."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import platformdirs

Result = TypeVar("Result")

_VERSION = 2
_BUSY_SECONDS = 5.0
_AT_ONCE = 1000  # rows changed in one transaction
_CACHE_KIB = 256  # of pages: the system keeps the file in memory as well
_BUSY, _LOCKED = 5, 6
_SCHEMA = """
CREATE TABLE files (
    folder BLOB NOT NULL, name BLOB NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
    entry BLOB NOT NULL, summary BLOB, tensors BLOB, PRIMARY KEY (folder, name)
) WITHOUT ROWID
"""


class FileKey(NamedTuple):
    """What tells one state of a file from another."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> "FileKey":
        # sqlite holds signed integers of 64 bits; some file systems have larger inodes
        return cls(status.st_size, status.st_mtime_ns, status.st_ino & 0x7FFF_FFFF_FFFF_FFFF)


@dataclass(frozen=True, slots=True)
class Row:
    """A file's row: JSON texts of its entry in listings, of its summary, and of where its tensors are."""

    name: str
    key: FileKey
    entry: bytes
    summary: bytes | None = None
    tensors: bytes | None = None


def default_path() -> Path:
    """Where the catalogue lies unless told otherwise."""
    return platformdirs.user_cache_path("nanoscope") / "catalogue.sqlite3"


class Catalogue:
    """The rows of all traces folders. Threads may share it; several processes may use one file.

    It never fails: a damaged file is made anew, and where none can be written it lives in memory.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(path) if path is not None else default_path()
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._process = 0

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            self._drop()

    def rows(self, folder: bytes) -> list[Row]:
        """All rows of a folder, without summaries and tensors."""
        query = "SELECT name, size, mtime_ns, inode, entry FROM files WHERE folder = ?"
        found = self._run(lambda db: db.execute(query, (folder,)).fetchall(), [])
        return [Row(os.fsdecode(name), FileKey(size, mtime, inode), entry) for name, size, mtime, inode, entry in found]

    def row(self, folder: bytes, name: str, key: FileKey) -> Row | None:
        """The whole row of a file in that state, if it is known."""
        query = (
            "SELECT entry, summary, tensors FROM files "
            "WHERE folder = ? AND name = ? AND size = ? AND mtime_ns = ? AND inode = ?"
        )
        values = (folder, os.fsencode(name), key.size, key.mtime_ns, key.inode)
        found = self._run(lambda db: db.execute(query, values).fetchone(), None)
        return Row(name, key, *found) if found else None

    def put(self, folder: bytes, rows: Iterable[Row]) -> None:
        """Add rows, or replace those of the same files."""
        values = [
            (folder, os.fsencode(row.name), row.key.size, row.key.mtime_ns, row.key.inode, row.entry, row.summary,
             row.tensors)
            for row in rows
        ]  # fmt: skip
        self._change("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    def remove(self, folder: bytes, names: Iterable[str]) -> None:
        """Remove the rows of files that are gone."""
        values = [(folder, os.fsencode(name)) for name in names]
        self._change("DELETE FROM files WHERE folder = ? AND name = ?", values)

    def _change(self, statement: str, values: list[tuple]) -> None:
        def change(db: sqlite3.Connection, part: list[tuple]) -> None:
            with db:
                db.execute("BEGIN IMMEDIATE")
                db.executemany(statement, part)

        for first in range(0, len(values), _AT_ONCE):  # others have their turn in between
            part = values[first : first + _AT_ONCE]
            self._run(lambda db, part=part: change(db, part), None)

    def _run(self, work: Callable[[sqlite3.Connection], Result], otherwise: Result) -> Result:
        """Do some work in the database; `otherwise` if another process keeps it busy."""
        with self._lock:
            for recover in (self._rebuild, self._use_memory, None):
                try:
                    return work(self._open())
                except sqlite3.Error as error:
                    if getattr(error, "sqlite_errorcode", 0) & 0xFF in (_BUSY, _LOCKED):
                        return otherwise
                    if recover:
                        recover()
            return otherwise

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._process != os.getpid():
            self._connection = None  # a forked child must not use its parent's connection
        if self._connection is None:
            self._connection, self._process = self._connect(str(self.path)), os.getpid()
        return self._connection

    def _connect(self, name: str) -> sqlite3.Connection:
        if name != ":memory:":
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise sqlite3.OperationalError(str(error)) from error
        db = sqlite3.connect(name, timeout=_BUSY_SECONDS, check_same_thread=False, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            if db.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
                self._create(db)
            self._forget_lost_folders(db)
        except BaseException:
            db.close()
            raise
        return db

    @staticmethod
    def _create(db: sqlite3.Connection) -> None:
        with db:
            db.execute("BEGIN IMMEDIATE")
            if db.execute("PRAGMA user_version").fetchone()[0] != _VERSION:  # no one else was faster
                db.execute("DROP TABLE IF EXISTS files")
                db.execute(_SCHEMA)
                db.execute(f"PRAGMA user_version = {_VERSION}")

    @staticmethod
    def _forget_lost_folders(db: sqlite3.Connection) -> None:
        folders = [folder for (folder,) in db.execute("SELECT DISTINCT folder FROM files")]
        lost = [(folder,) for folder in folders if not os.path.isdir(folder)]
        if lost:
            db.executemany("DELETE FROM files WHERE folder = ?", lost)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and self._process == os.getpid():
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _rebuild(self) -> None:
        """Throw the file away; it is made anew when it is opened next."""
        self._drop()
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                os.unlink(f"{self.path}{suffix}")

    def _use_memory(self) -> None:
        self._drop()
        self._connection, self._process = self._connect(":memory:"), os.getpid()
