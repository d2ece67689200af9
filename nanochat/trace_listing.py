"""The traces of a folder as they stand now: what listings show, kept in memory and checked against the folder."""

import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from nanochat.catalogue import Catalogue, FileKey, Row
from nanochat.errors import NanoscopeError, StorageError, TraceNotFoundError, TraceUnreadableError
from nanochat.trace_file import TraceFile
from nanochat.trace_rows import read_row, unreadable, valid_trace_id

TRUST_SECONDS = 2.0
_RACY_NS = 50_000_000  # two changes within one tick of the file system's clock look like one
_BATCH = 500


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """One line of a listing. Long prompts and responses are cut after 4,000 characters; the summary has them whole."""

    trace_id: str
    timestamp: str
    category: str | None
    prompt: str
    response: str
    prompt_tokens: int
    response_tokens: int
    size: int
    format: str
    readable: bool
    reason: str
    path: Path


@dataclass(frozen=True, slots=True)
class _File:
    key: FileKey
    moment: float
    entry: TraceEntry


class Listing:
    """The files of one traces folder. Threads may share it."""

    def __init__(self, folder: Path, catalogue: Catalogue) -> None:
        self.folder = folder
        self.catalogue = catalogue
        self._identity = os.fsencode(os.path.realpath(folder))
        self._lock = threading.Lock()
        self._files: dict[str, _File] | None = None
        self._sorted: list[TraceEntry] | None = None
        self._folder_mtime = -1
        self._checked = 0.0

    def entries(self) -> list[TraceEntry]:
        """All traces, newest first; the list is the caller's own."""
        with self._lock:
            self._refresh()
            if self._sorted is None:
                self._sorted = _sort((self._files or {}).values())
            return list(self._sorted)

    def row(self, name: str, key: FileKey) -> Row | None:
        """What the catalogue knows of a file in that state."""
        return self.catalogue.row(self._identity, name, key)

    def keep(self, row: Row) -> None:
        """Take in what is known of one file."""
        with self._lock:
            self.catalogue.put(self._identity, [row])
            if self._files is not None:
                self._files[row.name] = self._file(row)
                self._sorted = None

    def forget(self, names: list[str]) -> None:
        """Drop deleted files."""
        with self._lock:
            self.catalogue.remove(self._identity, names)
            for name in names:
                if self._files is not None:
                    self._files.pop(name, None)
            self._sorted = None

    def _refresh(self) -> None:
        """Look for changes, unless the folder has not changed since files were looked at less than two seconds ago."""
        try:
            mtime = os.stat(self.folder).st_mtime_ns
        except FileNotFoundError:
            self._files, self._sorted, self._folder_mtime = {}, None, -1
            return
        except OSError as error:
            raise _folder_error(self.folder, error) from error
        fresh = time.monotonic() - self._checked < TRUST_SECONDS
        if self._files is not None and fresh and mtime == self._folder_mtime:
            return
        now = time.time_ns()
        present = self._present()
        known = self._files
        if known is None:
            known = {row.name: self._file(row) for row in self.catalogue.rows(self._identity)}
        files = {name: known[name] for name, key in present.items() if name in known and known[name].key == key}
        for row in self._read([name for name in present if name not in files]):
            files[row.name] = self._file(row)
        self.catalogue.remove(self._identity, known.keys() - present.keys())
        if files != self._files:
            self._files, self._sorted = files, None
        self._checked = time.monotonic()
        self._folder_mtime = mtime if now - mtime > _RACY_NS else -1

    def _present(self) -> dict[str, FileKey]:
        """Names that look like traces, and the states of their files."""
        present: dict[str, FileKey] = {}
        try:
            with os.scandir(self.folder) as found:
                for item in found:
                    if item.name.startswith(".") or not item.name.endswith((".json", ".safetensors")):
                        continue
                    try:
                        present[item.name] = FileKey.of(item.stat())
                    except OSError:
                        if os.path.lexists(item.path):  # a link to nothing, or in a circle
                            present[item.name] = FileKey(0, 0, item.inode() & 0x7FFF_FFFF_FFFF_FFFF)
        except OSError as error:
            raise _folder_error(self.folder, error) from error
        return present

    def _read(self, names: list[str]) -> Iterable[Row]:
        """Rows of new and changed files; those of readable or settled ones are kept in the catalogue as well."""
        batch: list[Row] = []
        for name in names:
            row = self._read_one(name)
            if row is None:
                continue
            yield row
            batch.append(row)
            if len(batch) >= _BATCH:
                self.catalogue.put(self._identity, batch)
                batch = []
        self.catalogue.put(self._identity, batch)

    def _read_one(self, name: str) -> Row | None:
        """The row of a file; None if it has gone meanwhile."""
        path = self.folder / name
        try:
            key = FileKey.of(os.stat(path))
        except OSError as error:
            try:
                status = os.lstat(path)
            except OSError:
                return None
            return unreadable(name, FileKey(0, 0, status.st_ino), f"It is a broken link ({error.strerror}).")
        racy = time.time_ns() - key.mtime_ns < _RACY_NS
        try:
            if not valid_trace_id(path.stem):
                raise TraceUnreadableError("Its name is not a trace id; rename it with letters, digits, '_' and '-'.")
            file = TraceFile(path)
            try:
                row = read_row(file)
            finally:
                file.close()
        except TraceNotFoundError:
            return None
        except (NanoscopeError, OSError, ValueError, OverflowError, RecursionError, MemoryError) as error:
            row = unreadable(name, key, str(error) or type(error).__name__)
        # a file that is being written may change again within one tick of the clock: look again next time
        return replace(row, key=row.key._replace(mtime_ns=-1)) if racy else row

    def _file(self, row: Row) -> _File:
        fields = orjson.loads(row.entry)
        moment = fields.pop("moment")
        stem, _, suffix = row.name.rpartition(".")
        shown = os.fsencode(stem).decode("utf-8", "replace")
        path = self.folder / row.name
        return _File(row.key, moment, TraceEntry(shown, size=row.key.size, format=suffix, path=path, **fields))


def _sort(files: Iterable[_File]) -> list[TraceEntry]:
    """One entry per trace id, the compact file before the JSON one unless it is unreadable; newest first."""
    chosen: dict[str, _File] = {}
    for file in files:
        other = chosen.get(file.entry.trace_id)
        if other is None or _preference(file) > _preference(other):
            chosen[file.entry.trace_id] = file
    ordered = sorted(chosen.values(), key=lambda file: (file.moment, file.entry.trace_id), reverse=True)
    return [file.entry for file in ordered]


def _preference(file: _File) -> tuple[bool, bool]:
    return file.entry.readable, file.entry.format == "safetensors"


def _folder_error(folder: Path, error: OSError) -> StorageError:
    reason = error.strerror or str(error)
    return StorageError(f"The traces folder {folder} cannot be listed ({reason}); choose a folder that can be read.")
