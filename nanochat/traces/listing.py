"""The traces of a folder as they stand now: what listings show, kept in memory and checked against the folder."""

import contextlib
import math
import os
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from nanochat.errors import StorageError, TraceNotFoundError, TraceUnreadableError
from nanochat.traces.catalogue import Catalogue, FileKey, Row
from nanochat.traces.entry import TraceEntry, entry_of
from nanochat.traces.file import TraceFile
from nanochat.traces.formats import FORMATS, endings
from nanochat.traces.rows import read_row, unreadable, valid_trace_id

TRUST_SECONDS = 2.0
_RACY_NS = 50_000_000  # two changes within one tick of the file system's clock look like one
_BATCH = 500
_MANY = 16  # files: more are read by several threads, which mostly wait for the disk
_READERS = 4


@dataclass(frozen=True, slots=True)
class _File:
    key: FileKey
    entry: TraceEntry


@dataclass(frozen=True, slots=True)
class _Read:
    """A file just read; `settled`: its row holds as long as the file's state stays the same."""

    row: Row
    settled: bool


class Listing:
    """The files of one traces folder. Threads may share it: those that save or delete never wait for one that scans."""

    def __init__(self, folder: Path, catalogue: Catalogue) -> None:
        self.folder = folder
        self.catalogue = catalogue
        self._identity = os.fsencode(os.path.realpath(folder))
        self._scanning = threading.Lock()  # held for seconds by a scan of many new files
        self._lock = threading.Lock()  # guards what follows, never for long
        self._files: dict[str, _File] | None = None
        self._sorted: list[TraceEntry] | None = None
        self._meanwhile: dict[str, _File | None] | None = None  # kept or forgotten (None) while a scan runs
        self._folder_mtime = -1
        self._checked = 0.0

    def entries(self) -> list[TraceEntry]:
        """All traces, newest first; the list is the caller's own.

        Files are looked at again unless they were less than two seconds ago and the folder has not changed since.
        """
        with self._scanning:
            if not self._trusted():
                self._scan(math.inf)
        return self.known()

    def scan(self, seconds: float = math.inf) -> int:
        """Look at all files now, but read new and changed ones for some seconds only; how many are left to read."""
        with self._scanning:
            return self._scan(seconds)

    def known(self) -> list[TraceEntry]:
        """All traces as the last scan found them, with what was kept and forgotten since, newest first."""
        with self._lock:
            if self._sorted is None:
                self._sorted = _sort((self._files or {}).values())
            return list(self._sorted)

    def row(self, name: str, key: FileKey) -> Row | None:
        """What the catalogue knows of a file in that state."""
        return self.catalogue.row(self._identity, name, key)

    def keep(self, row: Row) -> TraceEntry:
        """Take in what is known of one file; its line."""
        self.catalogue.put(self._identity, [row])
        file = self._file(row)
        self._change({row.name: file})
        return file.entry

    def forget(self, names: list[str]) -> None:
        """Drop deleted files."""
        self.catalogue.remove(self._identity, names)
        self._change(dict.fromkeys(names))

    def _change(self, changes: dict[str, _File | None]) -> None:
        with self._lock:
            if self._meanwhile is not None:
                self._meanwhile |= changes
            if self._files is not None:
                self._files = _changed(self._files, changes)
                self._sorted = None

    def _trusted(self) -> bool:
        fresh = time.monotonic() - self._checked < TRUST_SECONDS
        if self._files is None or not fresh:
            return False
        try:
            return os.stat(self.folder).st_mtime_ns == self._folder_mtime
        except OSError:
            return False

    def _scan(self, seconds: float) -> int:
        with self._lock:
            known, self._meanwhile = self._files, {}
        try:
            now, mtime = time.time_ns(), self._mtime()
            files, left = self._look(known, seconds, there=mtime is not None)
            with self._lock:
                files = _changed(files, self._meanwhile)
                if files != self._files:
                    self._files, self._sorted = files, None
        finally:
            self._meanwhile = None
        self._checked = time.monotonic()
        self._folder_mtime = -1 if mtime is None or left or abs(now - mtime) <= _RACY_NS else mtime
        return left

    def _look(self, known: dict[str, _File] | None, seconds: float, *, there: bool) -> tuple[dict[str, _File], int]:
        """The files as they are now, and how many are left to read, which are listed as they were known."""
        present = self._present() if there else {}
        if known is None:
            known = self._from_catalogue()
        files = {name: known[name] for name, key in present.items() if name in known and known[name].key == key}
        unread = [name for name in present if name not in files]
        unread.sort(key=lambda name: present[name].mtime_ns)  # the newest is read first: somebody waits for it
        outdated = known.keys() - present.keys()
        for read in self._read(unread, seconds):
            files[read.row.name] = self._file(read.row, settled=read.settled)
            if not read.settled and read.row.name in known:
                outdated.add(read.row.name)
        files |= {name: known[name] for name in unread if name in known}
        self.catalogue.remove(self._identity, outdated)
        return files, len(unread)

    def _from_catalogue(self) -> dict[str, _File]:
        """What the catalogue knows, without rows that are not as they are written: their files are read anew."""
        files: dict[str, _File] = {}
        for row in self.catalogue.rows(self._identity):
            with contextlib.suppress(ValueError, TypeError):
                files[row.name] = self._file(row)
        return files

    def _mtime(self) -> int | None:
        """When the folder's names changed last; None where there is no folder."""
        try:
            return os.stat(self.folder).st_mtime_ns
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _folder_error(self.folder, error) from error

    def _present(self) -> dict[str, FileKey]:
        """Names that look like traces, and the states of their files."""
        present: dict[str, FileKey] = {}
        suffixes = endings()
        try:
            with os.scandir(self.folder) as found:
                for item in found:
                    if item.name.startswith(".") or not item.name.endswith(suffixes):
                        continue
                    try:
                        present[item.name] = FileKey.of(item.stat())
                    except OSError:
                        if os.path.lexists(item.path):  # a link to nothing, or in a circle
                            present[item.name] = FileKey(0, 0, item.inode() & 0x7FFF_FFFF_FFFF_FFFF)
        except OSError as error:
            raise _folder_error(self.folder, error) from error
        return present

    def _read(self, names: list[str], seconds: float) -> Iterable[_Read]:
        """Read files from the end of a list, taking them off it; settled ones are put into the catalogue as well."""
        batch: list[Row] = []
        deadline = time.monotonic() + seconds
        with contextlib.ExitStack() as stack:
            read, readers, at_once = map, 1, 1
            if len(names) > _MANY:
                read, readers, at_once = stack.enter_context(ThreadPoolExecutor(_READERS)).map, _READERS, _MANY
            while names:  # at least once, so that every scan gets on
                chunk = [names.pop() for _ in names[-readers * at_once :]]
                shares = [chunk[start : start + at_once] for start in range(0, len(chunk), at_once)]
                for found in chain.from_iterable(read(self._read_some, shares)):
                    yield found
                    if found.settled:
                        batch.append(found.row)
                if len(batch) >= _BATCH:
                    self.catalogue.put(self._identity, batch)
                    batch = []
                if time.monotonic() >= deadline:
                    break
            self.catalogue.put(self._identity, batch)

    def _read_some(self, names: Sequence[str]) -> list[_Read]:
        """The rows of some files, without those that have gone meanwhile."""
        return [found for found in map(self._read_one, names) if found is not None]

    def _read_one(self, name: str) -> _Read | None:
        """The row of a file; None if it has gone meanwhile."""
        path = self.folder / name
        try:
            key = FileKey.of(os.stat(path))
        except OSError as error:
            try:
                status = os.lstat(path)
            except OSError:
                return None
            key = FileKey.of(status)._replace(size=0, mtime_ns=0)
            return _Read(unreadable(name, key, f"It is a broken link ({error.strerror})."), settled=True)
        # a file that is being written may change again within one tick of the clock: look again next time
        settled = abs(time.time_ns() - key.mtime_ns) >= _RACY_NS
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
        except Exception as error:  # noqa: BLE001  whatever is wrong with a file, it costs itself alone
            row = unreadable(name, key, str(error) or type(error).__name__)
            settled &= not isinstance(error.__cause__ or error, OSError)  # rights may come without a change of the file
        return _Read(row, settled)

    def _file(self, row: Row, *, settled: bool = True) -> _File:
        entry = entry_of(self.folder, row)
        return _File(row.key if settled else row.key._replace(mtime_ns=-1), entry)


def _changed(files: dict[str, _File], changes: dict[str, _File | None]) -> dict[str, _File]:
    """A copy with some files put in, or taken out (None)."""
    return {name: file for name, file in (files | changes).items() if file is not None} if changes else files


def _sort(files: Iterable[_File]) -> list[TraceEntry]:
    """One entry per trace id, the compact file before the JSON one unless it is unreadable; newest first."""
    chosen: dict[str, _File] = {}
    for file in files:
        other = chosen.get(file.entry.trace_id)
        if other is None or _preference(file) > _preference(other):
            chosen[file.entry.trace_id] = file
    return sorted((file.entry for file in chosen.values()), key=lambda entry: entry.place, reverse=True)


def _preference(file: _File) -> tuple[bool, bool]:
    return file.entry.readable, FORMATS[file.entry.format].compact


def _folder_error(folder: Path, error: OSError) -> StorageError:
    reason = error.strerror or str(error)
    return StorageError(f"The traces folder {folder} cannot be listed ({reason}); choose a folder that can be read.")
