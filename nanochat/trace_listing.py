"""The traces of a folder as they stand now: what listings show, kept in memory and checked against the folder."""

import os
import re
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from nanochat import trace_scan
from nanochat.catalogue import Catalogue, FileKey, Row
from nanochat.errors import NanoscopeError, StorageError, TraceNotFoundError, TraceUnreadableError
from nanochat.trace import open_regular, scan_file
from nanochat.trace_json import Span, document_json
from nanochat.trace_scan import TraceIndex
from nanochat.trace_tensors import TensorInfo, data_info, document_positions

TRUST_SECONDS = 2.0
_RACY_NS = 50_000_000  # two changes within one tick of the file system's clock look like one
_SCANNED_WHOLE = 64 << 20  # bytes; of larger files listings read the head and the end
_BATCH = 500
_SHOWN_TEXT = 4000
_TRACE_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")
_TRACE_KEYS = {"trace_id", "tokens", "model_data"}


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


def valid_trace_id(trace_id: str) -> bool:
    """Whether a trace id may become a file name."""
    return bool(_TRACE_ID.fullmatch(trace_id))


def summarize(index: TraceIndex) -> dict[str, Any]:
    """What a summary holds: the document without tokens, messages and analysis, and the tensors' shapes and dtypes."""
    document = index.document
    info = document.get("data_info")
    if not isinstance(info, dict) or "tensors" not in info:
        info = data_info(index.infos, document_positions(document), bool(index.steps))
    texts = {key: document.get(key) for key in ("timestamp", "prompt", "response")}
    category, metadata = document.get("category"), document.get("metadata")
    return {
        **{key: text if isinstance(text, str) else "" for key, text in texts.items()},
        "category": category if isinstance(category, str) else None,
        "metadata": metadata if isinstance(metadata, dict) else {},
        "model": document.get("model"),
        "generation": document.get("generation"),
        "data_info": info,
    }


def describe(name: str, key: FileKey, index: TraceIndex, *, complete: bool) -> Row:
    """The catalogue's row of a readable file; `complete`: the index has the places of all tensors."""
    document = index.document
    if not document.keys() & _TRACE_KEYS and not index.tensors:
        raise TraceUnreadableError("It is JSON, but not a trace; move it out of the traces folder.")
    summary = summarize(index)
    positions = document_positions(document)
    entry = {
        "timestamp": summary["timestamp"],
        "category": summary["category"],
        "prompt": summary["prompt"][:_SHOWN_TEXT],
        "response": summary["response"][:_SHOWN_TEXT],
        "prompt_tokens": positions.prompt,
        "response_tokens": positions.generated,
        "readable": True,
        "reason": "",
        "moment": _moment(summary["timestamp"], key),
    }
    tensors = None
    if complete and index.head_end is not None and not index.steps:
        infos = index.infos
        places = {
            tensor: [span.start, span.end, infos[tensor].shape, infos[tensor].dtype, infos[tensor].problem]
            for tensor, span in index.tensors.items()
        }
        tensors = orjson.dumps({"head_end": index.head_end, "tensors": places})
    known = complete or "data_info" in document
    return Row(name, key, document_json(entry), document_json(summary) if known else None, tensors)


def known_index(row: Row, descriptor: int) -> TraceIndex | None:
    """The index of a JSON trace from its row, so that the file need not be walked; None if the row does not hold it."""
    if row.tensors is None:
        return None
    places = orjson.loads(row.tensors)
    head_end = places["head_end"]
    index = TraceIndex(trace_scan.loads(os.pread(descriptor, head_end, 0) + b"}"), head_end=head_end)
    for name, (start, end, shape, dtype, problem) in places["tensors"].items():
        index.tensors[name] = Span(start, end)
        index.infos[name] = TensorInfo(None if shape is None else tuple(shape), dtype, problem)
    return index


def unreadable(name: str, key: FileKey, reason: str) -> Row:
    """The row of a file that is not a trace, or not a whole one."""
    entry = {
        "timestamp": "", "category": None, "prompt": "", "response": "", "prompt_tokens": 0, "response_tokens": 0,
        "readable": False, "reason": reason, "moment": key.mtime_ns / 1e9,
    }  # fmt: skip
    return Row(name, key, document_json(entry))


def _moment(timestamp: str, key: FileKey) -> float:
    try:
        return datetime.fromisoformat(timestamp).timestamp()
    except (ValueError, OverflowError, OSError):
        return key.mtime_ns / 1e9


def read_row(path: Path) -> Row:
    """The row of a file, read without parsing tensors. Raises TraceUnreadableError, FileNotFoundError-like errors."""
    descriptor = open_regular(path)
    try:
        key = FileKey.of(os.fstat(descriptor))
        if path.suffix == ".json":
            large = key.size > _SCANNED_WHOLE and trace_scan.closes_well(descriptor, key.size)
            if large or trace_scan.is_canonical(descriptor, key.size):
                head = trace_scan.read_head(descriptor, key.size)
                if head is not None:
                    return describe(path.name, key, TraceIndex(head[0]), complete=False)
        return describe(path.name, key, scan_file(descriptor, path.suffix[1:]), complete=True)
    finally:
        os.close(descriptor)


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
        started, now = time.monotonic(), time.time_ns()
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
        self._checked = started
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
            row = read_row(path)
        except TraceNotFoundError:
            return None
        except (NanoscopeError, OSError, ValueError, OverflowError, RecursionError, MemoryError) as error:
            row = unreadable(name, key, str(error) or type(error).__name__)
        # a file that is being written may change again within one tick of the clock: look again next time
        return replace(row, key=replace(row.key, mtime_ns=-1)) if racy else row

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
