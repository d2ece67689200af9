"""Traces on disk: one folder, one file per trace, in any format of the table."""

import contextlib
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from nanochat.errors import (
    CategoryInvalidError,
    NanoscopeError,
    SettingInvalidError,
    StorageError,
    TraceIdInvalidError,
    TraceNotFoundError,
    TraceUnreadableError,
)
from nanochat.system.places import own_path
from nanochat.system.private_files import make_folder
from nanochat.system.temporary_names import remove_dead_files
from nanochat.traces.atomic_file import draft_in, publish, storage_error, sync_folder
from nanochat.traces.catalogue import Catalogue, FileKey
from nanochat.traces.content import Content, assemble
from nanochat.traces.file import TraceFile
from nanochat.traces.format import Format, TraceIndex
from nanochat.traces.formats import format_named, reading_order
from nanochat.traces.json.scanner import loads
from nanochat.traces.listing import Listing, TraceEntry
from nanochat.traces.metadata import exact_metadata
from nanochat.traces.rows import describe, known_index, valid_trace_id
from nanochat.traces.tensors import TensorInfo, check_names, dtype_name
from nanochat.traces.trace import Trace

__all__ = ["TraceEntry", "TraceStorage"]

SCHEMA_VERSION = 1
CLEAR_SECONDS = 60.0  # between two looks for what dead writers left
_LONGEST_CATEGORY = 200


class TraceStorage:
    """A folder of traces. Threads may share it; several processes may use one folder.

    The folder is made by the first trace. `on_change` is told the id of each trace that was saved or deleted by this
    object, and its line in listings, None for a deleted one. Raises StorageError if something other than a folder is in
    the folder's place.
    """

    def __init__(
        self,
        directory: Path | str,
        format: str = "json",
        catalogue: Catalogue | Path | str | None = None,
        *,
        on_change: Callable[[str, TraceEntry | None], None] | None = None,
    ) -> None:
        self.directory = own_path(os.fspath(directory))
        self.format = format_named(format).name
        self.catalogue = catalogue if isinstance(catalogue, Catalogue) else Catalogue(catalogue)
        if os.path.lexists(self.directory) and not os.path.isdir(self.directory):
            raise StorageError(f"{self.directory} is not a folder; choose another traces folder, or move it away.")
        self._listing = Listing(self.directory, self.catalogue)
        self._on_change = on_change
        self._cleared = -math.inf

    def __reduce__(self) -> tuple[Any, ...]:
        """The same folder for another process; nobody there is told of changes."""
        return TraceStorage, (self.directory, self.format, self.catalogue.path)

    def check_writable(self) -> None:
        """Make the folder and write to it; StorageError or StorageFullError if a trace could not be saved."""
        self._make_folder()
        with draft_in(self.directory, "check") as draft:
            draft.write(b"\0")
            draft.flush()

    def create_trace(
        self,
        document: Mapping[str, Any],
        tensors: Mapping[str, np.ndarray],
        *,
        steps: bool = False,
        format: str | None = None,
        dtype: str | None = None,
    ) -> str:
        """Save a trace, whole or not at all, and durably; its new id.

        `tensors` are read one at a time; `dtype` is what floating tensors are stored as (float32, bfloat16,
        float16), their own by default. Raises StorageError, StorageFullError, SettingInvalidError (a tensor name,
        dtype, or a value too large for the dtype), CategoryInvalidError.
        """
        chosen = format_named(self.format if format is None else format)
        check_category(document.get("category"))
        if "metadata" in document:
            document = {**document, "metadata": exact_metadata(document["metadata"])}
        check_names(tensors)
        infos = {name: TensorInfo(array.shape, dtype_name(array.dtype)) for name, array in tensors.items()}
        if scalars := [name for name, info in infos.items() if not info.shape]:
            raise SettingInvalidError(f"{', '.join(scalars)} is a single number; put it into the metadata.")
        self._make_folder()
        now = datetime.now().astimezone()
        base = now.strftime("trace_%Y%m%d_%H%M%S_%f")
        suffix = 1
        while True:
            trace_id = base if suffix == 1 else f"{base}_{suffix}"
            added = {"schema_version": SCHEMA_VERSION, "trace_id": trace_id, "timestamp": now.isoformat()}
            content = assemble({**document, **added}, tensors, infos, dtype=dtype, steps=steps)
            if not self._files(trace_id) and self._save(trace_id, chosen, content):
                self._clear_away()
                return trace_id
            suffix += 1

    def _save(self, trace_id: str, format: Format, content: Content) -> bool:
        """Write one file; False if its id was taken meanwhile."""
        final = self.directory / f"{trace_id}.{format.name}"
        with draft_in(self.directory, final.name) as draft:
            index = format.write(draft, content)
            if not publish(draft, final):
                return False
            if len(self._files(trace_id)) > 1:  # another process took the id, in another format
                os.unlink(final)
                return False
            key = FileKey.of(os.fstat(draft.descriptor))
        self._changed(trace_id, self._listing.keep(describe(final.name, key, index, complete=True)))
        return True

    def _clear_away(self) -> None:
        """Remove what dead writers left, now and then. After a save: the folder surely is one of traces."""
        if time.monotonic() - self._cleared >= CLEAR_SECONDS:
            self._cleared = time.monotonic()
            remove_dead_files(self.directory)

    def _changed(self, trace_id: str, entry: TraceEntry | None) -> None:
        if self._on_change is not None:
            self._on_change(trace_id, entry)

    def _make_folder(self) -> None:
        try:
            make_folder(self.directory)
        except OSError as error:
            raise storage_error(error, self.directory) from error

    def _files(self, trace_id: str) -> list[Path]:
        """Files of an id, the one to read first."""
        if not valid_trace_id(trace_id):
            raise TraceIdInvalidError(
                f"{trace_id!r:.80} is no trace id: 1 to 200 letters, digits, '_', '-'. `list_traces` has them all."
            )
        paths = (self.directory / f"{trace_id}.{format}" for format in reading_order())
        return [path for path in paths if os.path.lexists(path)]

    def _existing(self, trace_id: str) -> list[Path]:
        if found := self._files(trace_id):
            return found
        raise TraceNotFoundError(f"There is no trace {trace_id} in {self.directory}; `list_traces` has them all.")

    def path_of(self, trace_id: str) -> Path:
        """The file that a trace is read from. Raises TraceIdInvalidError, TraceNotFoundError."""
        return self._existing(trace_id)[0]

    def list_traces(self, category: str | None = None) -> list[str]:
        """Ids of readable traces, newest first; `list_entries` has the unreadable ones too.

        Raises CategoryInvalidError for a category that no trace has, StorageError.
        """
        return [entry.trace_id for entry in self.list_entries(category) if entry.readable]

    def list_entries(self, category: str | None = None) -> list[TraceEntry]:
        """All traces, newest first, unreadable ones with the reason. Errors as in `list_traces`."""
        entries = self._listing.entries()
        return entries if category is None else of_category(entries, category)

    def scan(self, seconds: float = math.inf) -> tuple[list[TraceEntry], int]:
        """As `list_entries`, with every file looked at now, however short a time ago it was looked at before.

        Reads new and changed files for some seconds at most, the newest first; how many are left for the next scan,
        which until then are listed as they were before, or not at all. Raises StorageError.
        """
        left = self._listing.scan(seconds)
        return self._listing.known(), left

    def open_trace(self, trace_id: str) -> Trace:
        """A trace to read from. Raises TraceIdInvalidError, TraceNotFoundError, TraceUnreadableError."""
        problem: TraceUnreadableError | None = None
        for path in self._existing(trace_id):
            try:
                return self._open(path)
            except TraceUnreadableError as error:
                problem = problem or error
        assert problem
        raise problem

    def _open(self, path: Path) -> Trace:
        file = TraceFile(path)
        try:
            return Trace(file, self._index(file))
        except BaseException:
            file.close()
            raise

    def _index(self, file: TraceFile) -> TraceIndex:
        """Where a file's tensors are: from the catalogue, or else by walking the file, once."""
        name, key = file.path.name, FileKey.of(file.status())
        row = self._listing.row(name, key)
        if row and (index := known_index(row, file)):
            return index
        try:
            index = file.scan()
            # a compact file's header is its own index
            if row is None or row.summary is None or not file.format.compact:
                self._listing.keep(describe(name, key, index, complete=True))
        except TraceUnreadableError as error:
            raise TraceUnreadableError(f"{file.path} cannot be read: {error}") from error
        return index

    def load_trace(self, trace_id: str) -> dict[str, Any]:
        """The whole document, tensors as nested lists. Errors as in `open_trace`."""
        with self.open_trace(trace_id) as trace:
            return trace.whole()

    def get_trace_summary(self, trace_id: str) -> dict[str, Any]:
        """trace_id, timestamp, prompt, response, category, metadata, model, generation, data_info.

        `data_info`: `tensors` (shape and dtype of each), `num_layers`, `num_tokens` (the positions that the model ran
        over: the last token is not run), `num_steps`, `intermediate_steps`. Errors as in `open_trace`.
        """
        for path in self._existing(trace_id):
            with contextlib.suppress(OSError):
                row = self._listing.row(path.name, FileKey.of(os.stat(path)))
                if row and row.summary:
                    return {"trace_id": trace_id, **loads(row.summary)}
        with self.open_trace(trace_id) as trace:
            return trace.summary()

    def delete_trace(self, trace_id: str) -> None:
        """Delete a trace in all its formats; a file of that name which is no trace stays.

        Raises TraceIdInvalidError, TraceNotFoundError, StorageError, TraceUnreadableError (there is only such a file).
        """
        files = self._traces(self._existing(trace_id))
        for path in files:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise StorageError(f"Cannot delete {path} ({error.strerror}); check the folder's rights.") from error
        self._listing.forget([path.name for path in files])
        self._changed(trace_id, None)
        try:
            sync_folder(self.directory)
        except OSError as error:
            raise storage_error(error, self.directory) from error

    def _traces(self, files: list[Path]) -> list[Path]:
        """Those that are traces, damaged ones of this program's among them; TraceUnreadableError if none is."""
        found: list[Path] = []
        problem: NanoscopeError | None = None
        for path in files:
            try:
                with contextlib.closing(TraceFile(path)) as file:
                    if not file.is_trace_of_ours():
                        self._index(file)
                found.append(path)
            except (TraceNotFoundError, TraceUnreadableError) as error:
                problem = problem or error
        if not found:
            raise TraceUnreadableError(
                f"{problem} Nothing was deleted; if the file is not wanted, remove it by hand."
            ) from problem
        return found


def of_category(entries: Sequence[TraceEntry], category: str) -> list[TraceEntry]:
    """Those of a category. Raises CategoryInvalidError if there are none."""
    chosen = [entry for entry in entries if entry.category == category]
    if not chosen:
        known = ", ".join(sorted({entry.category for entry in entries if entry.category is not None}))
        raise CategoryInvalidError(f"No trace has the category {category!r}; there are: {known or 'none yet'}.")
    return chosen


def check_category(category: object) -> None:
    """Raise CategoryInvalidError for what cannot name traces; None is no category."""
    if category is None:
        return
    if not isinstance(category, str) or not category.strip() or not category.isprintable():
        raise CategoryInvalidError(f"{category!r} cannot be a category; use a short printable text.")
    if len(category) > _LONGEST_CATEGORY:
        raise CategoryInvalidError(f"A category has at most {_LONGEST_CATEGORY} characters, not {len(category)}.")
