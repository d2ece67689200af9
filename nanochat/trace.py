"""One trace, read on request: its document at once, each tensor or part of a tensor when asked for."""

import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from nanochat import trace_json, trace_safetensors, trace_scan
from nanochat.atomic_file import Output, replace, storage_error, temporary_file
from nanochat.errors import SettingInvalidError, TraceNotFoundError, TraceUnreadableError
from nanochat.trace_blocks import block_for, read_json_block
from nanochat.trace_scan import TraceIndex
from nanochat.trace_tensors import (
    FLOATS,
    STORABLE_FLOATS,
    TensorInfo,
    data_info,
    document_positions,
    document_tokens,
    in_file_order,
    nest,
    readable,
    step_index,
    to_dtype,
)

FORMATS = ("json", "safetensors")
DOCUMENT_KEYS = (
    "schema_version", "trace_id", "timestamp", "prompt", "response", "category", "metadata", "model", "generation",
    "messages", "tokens", "analysis",
)  # fmt: skip


def open_regular(path: Path) -> int:
    """A descriptor of a regular file, never waiting for one; TraceUnreadableError for anything else."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise TraceUnreadableError(f"{path} is not a regular file; move it out of the traces folder.")
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise TraceNotFoundError(f"There is no file {path}; it may have been deleted just now.") from None
    except OSError as error:
        raise TraceUnreadableError(f"{path} cannot be opened ({error.strerror}); check its rights.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise TraceUnreadableError(f"{path} is not a regular file; move it out of the traces folder.")
    return descriptor


def scan_file(descriptor: int, format: str) -> TraceIndex:
    """What a trace file holds; TraceUnreadableError if it is damaged."""
    size = os.fstat(descriptor).st_size
    scan = trace_safetensors.scan_trace if format == "safetensors" else trace_scan.scan_trace
    try:
        return scan(descriptor, size)
    except OSError as error:
        raise TraceUnreadableError(f"The file cannot be read ({error.strerror}).") from error


class Trace:
    """A trace on disk. Tensors come as float32 (integers as they are), freshly read, never cached.

    It keeps its file open: use it in a `with` statement, or close it.
    """

    def __init__(self, path: Path, descriptor: int, index: TraceIndex) -> None:
        self.path = path
        self.trace_id = path.stem
        self.format = "safetensors" if path.suffix == ".safetensors" else "json"
        self.document: dict[str, Any] = {**index.document, "trace_id": path.stem}
        self._descriptor = descriptor
        self.index = index
        self._infos = dict(index.infos)

    @classmethod
    def open(cls, path: Path | str) -> "Trace":
        """Open a trace file by its path. Raises TraceNotFoundError, TraceUnreadableError."""
        path = Path(path)
        descriptor = open_regular(path)
        try:
            return cls(path, descriptor, scan_file(descriptor, path.suffix.lstrip(".")))
        except BaseException:
            os.close(descriptor)
            raise

    def close(self) -> None:
        """Let go of the file; nothing can be read after that."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "Trace":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_descriptor", -1) >= 0:
            self.close()

    def __repr__(self) -> str:
        return f"Trace({str(self.path)!r}, {len(self._infos)} tensors)"

    def names(self) -> list[str]:
        """Dotted names of all tensors, in file order."""
        return list(self._infos)

    def info(self, name: str) -> TensorInfo:
        """Shape and dtype as stored. Raises TraceNotFoundError for a tensor that the trace does not have."""
        try:
            info = self._infos[name]
        except KeyError:
            groups = ", ".join(dict.fromkeys(known.split(".")[0] for known in self._infos)) or "none"
            raise TraceNotFoundError(
                f"{self.trace_id} has no tensor {name!r}; it has tensors of: {groups}. `names()` lists them all."
            ) from None
        if info.problem:
            raise self._unreadable(name, info.problem)
        if info.shape is None:
            info = self._infos[name] = TensorInfo(self._inferred(name).shape, info.dtype)
        return info

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        return self.info(name).shape or ()

    def dtype(self, name: str) -> str:
        """The dtype that a tensor is stored in: float32, float16, bfloat16, int32, ..."""
        return self.info(name).dtype

    def tensor(self, name: str, index: Any = ()) -> np.ndarray:
        """`tensor[index]` as numpy has it, reading no more of the file than the rows that the index needs.

        float32, or the integers stored. Raises TraceNotFoundError, TraceUnreadableError, IndexError.
        """
        return readable(self.stored(name, index))

    def stored(self, name: str, index: Any = ()) -> np.ndarray:
        """As `tensor`, in the dtype stored."""
        info = self.info(name)
        shape = info.shape or ()
        block = block_for(shape, index)
        span = self.index.tensors[name]
        try:
            if self.format == "json":
                values = read_json_block(self._descriptor, span, shape, info.dtype, block)
            else:
                first, last = block.first * shape[-1], block.last * shape[-1]
                values = trace_safetensors.read_values(self._descriptor, span, info.dtype, first, last)
            return values.reshape(block.shape)[block.rest]
        except (ValueError, OSError) as error:
            raise self._unreadable(name, str(error)) from error

    def _inferred(self, name: str) -> np.ndarray:
        """A tensor of an older file that does not say its shape."""
        span = self.index.tensors[name]
        try:
            return np.array(trace_scan.loads(os.pread(self._descriptor, span.end - span.start, span.start)), np.float64)
        except (ValueError, TypeError, OSError) as error:
            raise self._unreadable(name, str(error)) from error

    def _unreadable(self, name: str, reason: str) -> TraceUnreadableError:
        return TraceUnreadableError(f"The tensor {name} of {self.path} cannot be read: {reason}.")

    @property
    def tensors(self) -> Mapping[str, np.ndarray]:
        """All tensors by name, each read when it is taken."""
        return _LazyTensors(self.names(), self.tensor)

    def attention(self, layer: int, head: int | None = None) -> np.ndarray:
        """Attention weights of a layer, (H, S, S), or of one head, (S, S): a row per query, a column per key."""
        name = f"attention_weights.layer_{layer}"
        heads = self.shape(name)[1] if len(self.shape(name)) == 4 else 0
        if head is not None and not 0 <= head < heads:
            raise TraceNotFoundError(f"Layer {layer} of {self.trace_id} has the heads 0 to {heads - 1}, not {head}.")
        return self.tensor(name, 0 if head is None else (0, head))

    def activation(self, layer: int, site: str) -> np.ndarray:
        """Activations of a layer at a site such as `post_mlp`: (S, n_embd)."""
        return self.tensor(f"layer_activations.layer_{layer}.{site}", 0)

    def embeddings(self) -> np.ndarray:
        """Token embeddings, (S, n_embd)."""
        return self.tensor("token_embeddings", 0)

    def logits(self) -> np.ndarray:
        """Output logits, (N, vocab), or (S, vocab) where all were kept."""
        return self.tensor("output_logits", 0)

    @property
    def steps(self) -> int:
        """Number of generation steps."""
        return len(self.index.steps) if self._own_steps else document_positions(self.document).steps

    @property
    def _own_steps(self) -> bool:
        """Whether the steps are those an older file spells out, rather than views of the whole tensors."""
        return "schema_version" not in self.document and bool(self.index.steps)

    def step(self, step: int) -> "StepView":
        """What step `step` saw and produced. Raises TraceNotFoundError for a step that was not made."""
        if not 0 <= step < self.steps:
            raise TraceNotFoundError(f"{self.trace_id} has the steps 0 to {self.steps - 1}, not {step}.")
        if self._own_steps:
            small, spans, infos = self.index.steps[step]
            own = Trace.__new__(Trace)
            own.__dict__.update(self.__dict__, _descriptor=os.dup(self._descriptor), _infos=infos)
            own.index = TraceIndex(self.index.document, spans, infos)
            return StepView(own, small, dict.fromkeys(infos, ()))
        positions = document_positions(self.document)
        places = {name: step_index(name, self.info(name).shape, positions, step) for name in self._infos}
        _, generated = document_tokens(self.document)
        small = {"step": step, "token": generated[step] if step < len(generated) else None}
        return StepView(self, small, {name: index for name, index in places.items() if index})

    def to_json(self, path: Path | str | None = None, *, steps: bool = False) -> Path:
        """Write the trace as JSON, beside this file if no path is given, replacing what is there; the path."""
        return self._convert(path, "json", None, steps)

    def to_safetensors(self, path: Path | str | None = None, *, dtype: str | None = None) -> Path:
        """Write the trace as safetensors, in the dtypes stored or in one given, replacing what is there; the path."""
        return self._convert(path, "safetensors", dtype, bool(self._data_info().get("intermediate_steps")))

    def _data_info(self) -> dict[str, Any]:
        info = self.document.get("data_info")
        return info if isinstance(info, dict) else {}

    def _convert(self, path: Path | str | None, format: str, dtype: str | None, steps: bool) -> Path:
        final = self.path.with_suffix(f".{format}") if path is None else Path(path)
        source = _LazyTensors(self.names(), self.stored)
        infos = {name: self.info(name) for name in self._infos}
        document, tensors, infos = assemble(self.document, source, infos, dtype=dtype, steps=steps)
        with temporary_file(final.parent, final.stem) as (output, temporary):
            write(output, format, document, tensors, infos, steps=steps)
            replace(output, temporary, final)
        return final

    def whole(self) -> dict[str, Any]:
        """The whole document with its tensors as nested lists, as the JSON format has it.

        Raises TraceUnreadableError where any part of the file is damaged.
        """
        if self.format == "json":
            text = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        else:
            text = self._as_json()
        try:
            document = trace_scan.loads(text)
        except ValueError as error:
            raise TraceUnreadableError(f"{self.path} is not JSON ({error}).") from None
        return {**document, "trace_id": self.trace_id}

    def _as_json(self) -> bytes:
        source = _LazyTensors(self.names(), self.stored)
        try:
            with tempfile.TemporaryFile() as file:
                output = Output(file.fileno())
                steps = bool(self._data_info().get("intermediate_steps"))
                trace_json.write_trace(output, self.document, source, self._infos, steps=steps)
                output.flush()
                return os.pread(file.fileno(), output.position, 0)
        except OSError as error:
            raise storage_error(error, tempfile.gettempdir()) from error


class StepView(Mapping[str, Any]):
    """One generation step: `step`, `token`, and the groups of tensors as nested dicts of arrays, read when taken.

    A dotted name gives one tensor: `view["attention_weights.layer_0"]`, (1, H, rows, keys so far).
    """

    def __init__(self, trace: Trace, small: Mapping[str, Any], places: Mapping[str, Any]) -> None:
        self._trace = trace
        self._small = small
        self._places = places

    def names(self) -> list[str]:
        """Dotted names of the step's tensors."""
        return list(self._places)

    def tensor(self, name: str) -> np.ndarray:
        """One tensor of the step, float32."""
        if name not in self._places:
            raise TraceNotFoundError(f"Step {self._small['step']} of {self._trace.trace_id} has no tensor {name!r}.")
        return self._trace.tensor(name, self._places[name])

    def __getitem__(self, key: str) -> Any:
        if key in self._small:
            return self._small[key]
        if key in self._places:
            return self.tensor(key)
        below = {name: self.tensor(name) for name in self._places if name.startswith(f"{key}.")}
        if not below:
            raise KeyError(key)
        tree: Any = nest(below)
        for part in key.split("."):
            tree = tree[part]
        return tree

    def __iter__(self) -> Iterator[str]:
        return iter([*self._small, *dict.fromkeys(name.split(".")[0] for name in self._places)])

    def __len__(self) -> int:
        return len(list(iter(self)))


class _LazyTensors(Mapping[str, np.ndarray]):
    """Tensors by name, each read when it is taken."""

    def __init__(self, names: list[str], read: Any) -> None:
        self._names = names
        self._read = read

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        return self._read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def assemble(
    document: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    infos: Mapping[str, TensorInfo],
    *,
    dtype: str | None,
    steps: bool,
) -> tuple[dict[str, Any], Mapping[str, np.ndarray], dict[str, TensorInfo]]:
    """What a file will hold: the document with its keys in file order, the tensors in the dtype asked for, and infos."""
    if dtype is not None and dtype not in STORABLE_FLOATS:
        raise SettingInvalidError(f"The dtype {dtype!r} cannot be stored; use one of {', '.join(STORABLE_FLOATS)}.")
    names = in_file_order(infos)
    kept = {
        name: TensorInfo(infos[name].shape, dtype if dtype and infos[name].dtype in FLOATS else infos[name].dtype)
        for name in names
    }
    skipped = {"data_info", *trace_scan.TENSOR_KEYS}
    keys = [key for key in DOCUMENT_KEYS if key in document]
    keys += [key for key in document if key not in keys and key not in skipped]
    ordered = {key: document[key] for key in keys}
    ordered["data_info"] = data_info(kept, document_positions(document), steps)
    return ordered, _LazyTensors(names, lambda name: to_dtype(name, tensors[name], dtype)), kept


def write(
    output: Output,
    format: str,
    document: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    infos: Mapping[str, TensorInfo],
    *,
    steps: bool,
) -> TraceIndex:
    """Write a trace in one of the formats; the index that scanning the file would give."""
    index = TraceIndex(dict(document), infos=dict(infos))
    if format == "json":
        index.head_end, index.tensors = trace_json.write_trace(output, document, tensors, infos, steps=steps)
    else:
        index.tensors = trace_safetensors.write_trace(output, document, tensors, infos)
    return index
