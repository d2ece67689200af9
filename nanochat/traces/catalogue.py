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

from nanochat.traces.catalogue_file import PADDING, connect, open_database, throw_away, wipe

Result = TypeVar("Result")

_BUSY_SECONDS = 5.0
_AT_ONCE = 1000  # rows changed in one transaction
_BUSY, _LOCKED = 5, 6
_DELETE = "DELETE FROM files WHERE folder = ? AND name = ?"
_OTHER_STATES = f"{_DELETE} AND NOT (size = ? AND mtime_ns = ? AND inode = ?)"
_PUT = f"INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, {PADDING}, ?, ?, ?)"


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

    It never fails: a damaged file is made anew, and where none can be written, or another program's lies in its place,
    it lives in memory. What was removed is wiped from the disk.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(path) if path is not None else default_path()
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._process = 0
        self._unwiped = False

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

        def change(db: sqlite3.Connection, part: list[tuple]) -> int:
            outdated = db.executemany(_OTHER_STATES, [row[:5] for row in part]).rowcount
            db.executemany(_PUT, part)
            return outdated

        self._change(change, values)

    def remove(self, folder: bytes, names: Iterable[str]) -> None:
        """Remove the rows of files that are gone."""
        values = [(folder, os.fsencode(name)) for name in names]
        self._change(lambda db, part: db.executemany(_DELETE, part).rowcount, values)
        if self._unwiped:
            self._run(self._wipe, None)

    def _change(self, change: Callable[[sqlite3.Connection, list[tuple]], int], values: list[tuple]) -> None:
        """Change rows; what tells how many old ones that took away."""

        def work(db: sqlite3.Connection, part: list[tuple]) -> None:
            with db:
                db.execute("BEGIN IMMEDIATE")
                self._unwiped |= change(db, part) > 0
            if self._unwiped:
                self._wipe(db)

        for first in range(0, len(values), _AT_ONCE):  # others have their turn in between
            part = values[first : first + _AT_ONCE]
            self._run(lambda db, part=part: work(db, part), None)

    def _wipe(self, db: sqlite3.Connection) -> None:
        self._unwiped = not wipe(db, _BUSY_SECONDS)

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
        db = open_database(name, _BUSY_SECONDS) if name == ":memory:" else connect(self.path, _BUSY_SECONDS)
        try:
            self._forget_lost_folders(db)
        except BaseException:
            db.close()
            raise
        return db

    def _forget_lost_folders(self, db: sqlite3.Connection) -> None:
        folders = [folder for (folder,) in db.execute("SELECT DISTINCT folder FROM files")]
        lost = [(folder,) for folder in folders if not os.path.isdir(folder)]
        if lost:
            db.executemany("DELETE FROM files WHERE folder = ?", lost)
            self._wipe(db)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and self._process == os.getpid():
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _rebuild(self) -> None:
        """Throw the file away, if it is ours; it is made anew when it is opened next."""
        self._drop()
        throw_away(self.path)

    def _use_memory(self) -> None:
        self._drop()
        self._connection, self._process = self._connect(":memory:"), os.getpid()
