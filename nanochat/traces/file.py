"""An open trace file, and the tensors in it, read in parts."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nanochat.checkpoints.file_kind import what_it_is
from nanochat.errors import StorageError, TraceNotFoundError, TraceUnreadableError
from nanochat.traces.blocks import block_for
from nanochat.traces.format import TraceIndex
from nanochat.traces.formats import format_of
from nanochat.traces.tensors import Span, TensorInfo, read_bytes, readable


class TraceFile:
    """A descriptor of a regular file, and its path."""

    def __init__(self, path: Path) -> None:
        """Open without ever waiting. Raises TraceNotFoundError, TraceUnreadableError."""
        self.path = path
        self.format = format_of(path)
        self._descriptor = -1
        try:
            _check_regular(path, os.stat(path))
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise TraceNotFoundError(f"There is no file {path}; it may have been deleted just now.") from None
        except OSError as error:
            raise TraceUnreadableError(f"{path} cannot be opened ({error.strerror}); check its rights.") from error
        try:
            _check_regular(path, self.status())
        except TraceUnreadableError:
            self.close()
            raise

    def fileno(self) -> int:
        if self._descriptor < 0:
            raise StorageError(f"{self.path} is closed; open the trace again.")
        return self._descriptor

    def status(self) -> os.stat_result:
        return os.fstat(self.fileno())

    def read(self) -> bytes:
        """All of it; ValueError if it has become shorter meanwhile."""
        return read_bytes(self.fileno(), 0, self.status().st_size)

    def expect_parts(self) -> None:
        """Tell the system that only parts of the file will be read, so that it fetches no more than those."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self.fileno(), 0, 0, os.POSIX_FADV_RANDOM)

    def scan(self) -> TraceIndex:
        """What the file holds; TraceUnreadableError if it is damaged."""
        try:
            return self.format.scan(self.fileno(), self.status().st_size)
        except (TraceUnreadableError, OSError, ValueError) as error:
            found = what_it_is(self.fileno(), self.format.kind)
            if found and self.status().st_size:
                raise TraceUnreadableError(f"It is {found}.") from error
            if isinstance(error, TraceUnreadableError):
                raise
            raise TraceUnreadableError(f"The file cannot be read ({error}).") from error

    def is_trace_of_ours(self) -> bool:
        """Whether it begins as traces do that this program writes, be it damaged behind that or not."""
        place, beginning = self.format.beginning
        try:
            return os.pread(self.fileno(), len(beginning), place) == beginning
        except OSError:
            return False

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


def _check_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise TraceUnreadableError(f"{path} is not a regular file; move it out of the traces folder.")


def known_tensors(names: list[str]) -> str:
    """What there is instead of a tensor that is not there: the names, cut where they count on."""
    groups = ", ".join(dict.fromkeys(name.split(".")[0] for name in names)) or "none"
    return f"it has tensors of: {groups}. Its summary names them all."


class TensorReader:
    """Some of the tensors of a file, by dotted name."""

    def __init__(self, file: TraceFile, owner: str, spans: Mapping[str, Span], infos: Mapping[str, TensorInfo]) -> None:
        self._file = file
        self._owner = owner
        self._spans = spans
        self._infos = dict(infos)

    def names(self) -> list[str]:
        return list(self._infos)

    def info(self, name: str) -> TensorInfo:
        """Shape and dtype as stored, the shape found out where an older file does not say it.

        Raises TraceNotFoundError, TraceUnreadableError.
        """
        info = self._infos.get(name)
        if info is None:
            raise TraceNotFoundError(f"{self._owner} has no tensor {name!r}; {known_tensors(self.names())}")
        if info.problem:
            raise self._unreadable(name, info.problem)
        if info.shape is None:
            info = self._infos[name] = TensorInfo(self._inferred_shape(name), info.dtype)
        return info

    def infos(self) -> dict[str, TensorInfo]:
        """Shapes and dtypes of all tensors."""
        return {name: self.info(name) for name in self._infos}

    def stored(self, name: str, index: Any = ()) -> np.ndarray:
        """`tensor[index]` as numpy has it, in the dtype stored; only the rows that the index needs are read."""
        info = self.info(name)
        block = block_for(info.dims, index)
        try:
            values = self._file.format.read_block(self._file.fileno(), self._spans[name], info, block)
            return values.reshape(block.shape)[block.rest]
        except (ValueError, OSError) as error:
            raise self._unreadable(name, str(error)) from error

    def tensor(self, name: str, index: Any = ()) -> np.ndarray:
        """As `stored`, floats as float32."""
        return readable(self.stored(name, index))

    def _inferred_shape(self, name: str) -> tuple[int, ...]:
        infer = self._file.format.infer_shape
        assert infer is not None, "this format's index tells every shape"
        try:
            return infer(self._file.fileno(), self._spans[name])
        except (ValueError, TypeError, OverflowError, OSError) as error:
            raise self._unreadable(name, str(error)) from error

    def _unreadable(self, name: str, reason: str) -> TraceUnreadableError:
        return TraceUnreadableError(f"The tensor {name} of {self._owner} cannot be read: {reason}.")
