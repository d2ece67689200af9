"""One trace, read on request: its document at once, each tensor or part of a tensor when asked for."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from nanochat.errors import TraceNotFoundError, TraceUnreadableError
from nanochat.system.places import check_place
from nanochat.system.standard_streams import notice
from nanochat.traces.atomic_file import Output, storage_error
from nanochat.traces.content import Content, assemble
from nanochat.traces.document import Document, read_document
from nanochat.traces.export import export, holds_trace
from nanochat.traces.file import TensorReader, TraceFile, known_tensors
from nanochat.traces.format import TraceIndex
from nanochat.traces.formats import format_named
from nanochat.traces.json.format import JSON
from nanochat.traces.json.scanner import loads
from nanochat.traces.rows import summarize
from nanochat.traces.size import check_room, expected_bytes, size_notice
from nanochat.traces.tensors import (
    LazyTensors,
    TensorInfo,
    nest,
    read_bytes,
    step_index,
)


class Trace:
    """A trace on disk. Tensors come as float32 (integers as they are), freshly read, never cached.

    `document` is everything but tensors and steps, as it stands in the file; `fields` is the same, made whole. The file
    stays open: use `with`, or `close`.
    """

    def __init__(self, file: TraceFile, index: TraceIndex) -> None:
        self.path = file.path
        self.trace_id = file.path.stem
        self.format = file.format.name
        self.document: dict[str, Any] = {**index.document, "trace_id": self.trace_id}
        self._file = file
        self._reader = TensorReader(file, str(file.path), index.tensors, index.infos)
        self._own_steps = [
            (step.small, TensorReader(file, f"step {number} of {file.path}", step.tensors, step.infos))
            for number, step in enumerate(index.steps)
        ]

    @cached_property
    def fields(self) -> Document:
        """The document, made whole."""
        return read_document(self.document)

    @classmethod
    def open(cls, path: Path | str) -> "Trace":
        """Open a trace file by its path. Raises TraceNotFoundError, TraceUnreadableError."""
        file = TraceFile(Path(path))
        try:
            return cls(file, file.scan())
        except TraceUnreadableError as error:
            file.close()
            raise TraceUnreadableError(f"{path} cannot be read: {error}") from error

    def close(self) -> None:
        """Let go of the file; nothing can be read after that."""
        self._file.close()

    def __enter__(self) -> "Trace":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Trace({str(self.path)!r}, {len(self.names())} tensors)"

    def names(self) -> list[str]:
        """Dotted names of all tensors, in file order."""
        return self._reader.names()

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor. Raises TraceNotFoundError, TraceUnreadableError."""
        return self._reader.info(name).dims

    def dtype(self, name: str) -> str:
        """The dtype that a tensor is stored in: float32, float16, bfloat16, int32, ..."""
        return self._reader.info(name).dtype

    def infos(self) -> dict[str, TensorInfo]:
        """Shapes and dtypes of all tensors."""
        return self._reader.infos()

    def tensor(self, name: str, index: Any = ()) -> np.ndarray:
        """`tensor[index]` as numpy has it, reading no more of the file than the rows that the index needs.

        float32, or the integers stored. Raises TraceNotFoundError, TraceUnreadableError, IndexError.
        """
        return self._reader.tensor(name, index)

    def stored(self, name: str, index: Any = ()) -> np.ndarray:
        """As `tensor`, in the dtype stored."""
        return self._reader.stored(name, index)

    @property
    def tensors(self) -> Mapping[str, np.ndarray]:
        """All tensors by name, each read when it is taken."""
        return LazyTensors(self.names(), self.tensor)

    def attention(self, layer: int, head: int | None = None) -> np.ndarray:
        """Attention weights of a layer, (H, S, S), or of one head, (S, S): a row per query, a column per key."""
        name = f"attention_weights.layer_{layer}"
        if head is None:
            return self.tensor(name, 0)
        heads = self.shape(name)[1]
        if not 0 <= head < heads:
            raise TraceNotFoundError(f"Layer {layer} of {self.trace_id} has the heads 0 to {heads - 1}, not {head}.")
        return self.tensor(name, (0, head))

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
        return len(self._own_steps) or self.fields.tokens.positions.steps

    def summary(self) -> dict[str, Any]:
        """As `TraceStorage.get_trace_summary`."""
        return {"trace_id": self.trace_id, **summarize(self.fields, self.infos(), steps=bool(self._own_steps))}

    def step(self, step: int) -> "StepView":
        """What step `step` saw and produced. Raises TraceNotFoundError for a step that was not made."""
        if not 0 <= step < self.steps:
            raise TraceNotFoundError(f"{self.trace_id} has the steps 0 to {self.steps - 1}, not {step}.")
        if self._own_steps:  # an older file, whose steps are not views of its whole tensors
            small, reader = self._own_steps[step]
            return StepView(reader, small, dict.fromkeys(reader.names(), ()))
        positions = self.fields.tokens.positions
        generated = self.fields.tokens.generated
        small = {"step": step, "token": generated[step] if step < len(generated) else None}
        places = {name: step_index(name, self.shape(name), positions, step) for name in self.names()}
        return StepView(self._reader, small, {name: index for name, index in places.items() if index is not None})

    def convert(
        self,
        format: str,
        path: Path | str | None = None,
        *,
        steps: bool | None = None,
        dtype: str | None = None,
        overwrite: bool = False,
        on_notice: Callable[[str], None] = notice,
    ) -> Path:
        """Write the trace in a format of the table, beside this file if no path is given; the path.

        A file that holds this trace is replaced, any other only to `overwrite` it. `steps`: whether the steps are
        spelt out; None: as the trace was saved. `dtype`: what floats are stored as; None: as they are. `on_notice` is
        called before with a sentence about a file that is going to be large; by default stderr is told.

        Raises StorageError, StorageFullError, TraceUnreadableError, SettingInvalidError for a format that there
        is not or a dtype that cannot hold the values.
        """
        row = format_named(format)
        content = self._content(steps=steps, dtype=dtype)
        final = self.path.with_suffix(f".{format}") if path is None else Path(path)
        check_place(final)
        positions = self.fields.tokens.positions
        check_room(final.parent, expected_bytes(content.infos, positions, format, steps=content.steps))
        if text := size_notice(content.infos, positions, format, steps=content.steps, most=False):
            on_notice(text)
        export(content, row, final, replacing=overwrite or holds_trace(final, self.trace_id, self._file.status()))
        return final

    def to_json(
        self,
        path: Path | str | None = None,
        *,
        steps: bool | None = None,
        overwrite: bool = False,
        on_notice: Callable[[str], None] = notice,
    ) -> Path:
        """Write the trace as JSON; otherwise as `convert`."""
        return self.convert("json", path, steps=steps, overwrite=overwrite, on_notice=on_notice)

    def to_safetensors(
        self,
        path: Path | str | None = None,
        *,
        dtype: str | None = None,
        overwrite: bool = False,
        on_notice: Callable[[str], None] = notice,
    ) -> Path:
        """Write the trace as safetensors; otherwise as `convert`."""
        return self.convert("safetensors", path, dtype=dtype, overwrite=overwrite, on_notice=on_notice)

    def whole(self) -> dict[str, Any]:
        """The whole document with its tensors as nested lists, as the JSON format has it.

        Raises TraceUnreadableError where any part of the file is damaged.
        """
        try:
            file = self._file
            document = loads(file.read() if file.format is JSON else self._as_json())
        except (ValueError, OSError) as error:
            raise TraceUnreadableError(f"{self.path} is not JSON ({error}).") from error
        return {**document, "trace_id": self.trace_id}

    def _keeps_steps(self) -> bool:
        """Whether the trace was saved with its steps as part of it."""
        return bool((self.fields.data_info or {}).get("intermediate_steps"))

    def _content(self, *, steps: bool | None = None, dtype: str | None = None) -> Content:
        steps = self._keeps_steps() if steps is None else steps
        own = [(small, LazyTensors(step.names(), step.stored), step.infos()) for small, step in self._own_steps]
        source = LazyTensors(self.names(), self.stored)
        return assemble(self.document, source, self._reader.infos(), dtype=dtype, steps=steps, own_steps=own)

    def _as_json(self) -> bytes:
        try:
            with tempfile.TemporaryFile() as file:
                output = Output(file.fileno())
                JSON.write(output, self._content())
                output.flush()
                return read_bytes(file.fileno(), 0, output.position)
        except OSError as error:
            raise storage_error(error, tempfile.gettempdir()) from error


class StepView(Mapping[str, Any]):
    """One generation step: `step`, `token`, and the groups of tensors as nested dicts of arrays, read when taken.

    A dotted name gives one tensor: `view["attention_weights.layer_0"]`, (1, H, rows, keys so far).
    """

    def __init__(self, reader: TensorReader, small: Mapping[str, Any], places: Mapping[str, Any]) -> None:
        self._reader = reader
        self._small = small
        self._places = places

    def names(self) -> list[str]:
        """Dotted names of the step's tensors."""
        return list(self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of one tensor of the step."""
        place, shape = self._place(name), self._reader.info(name).dims
        return tuple(len(range(*part.indices(size))) for part, size in zip(place, shape, strict=True))

    def tensor(self, name: str, index: tuple[int | slice, ...] = ()) -> np.ndarray:
        """One tensor of the step, or `tensor[index]` of it for integers and slices without a step; float32."""
        place = list(self._place(name))
        if len(index) > len(place):
            raise IndexError(f"{len(index)} indices for {len(place)} dimensions")
        for axis, (part, size) in enumerate(zip(index, self.shape(name), strict=False)):
            start = place[axis].start or 0
            if isinstance(part, slice):
                first, last, _ = part.indices(size)
                place[axis] = slice(start + first, start + max(first, last))
            elif 0 <= part < size:
                place[axis] = start + part
            else:
                raise IndexError(f"index {part} is out of bounds for axis {axis} with size {size}")
        return self._reader.tensor(name, tuple(place))

    def _place(self, name: str) -> tuple[Any, ...]:
        """A slice for each axis of the stored tensor."""
        if name not in self._places:
            known = known_tensors(self.names())
            raise TraceNotFoundError(f"Step {self._small['step']} has no tensor {name!r}; {known}")
        place = self._places[name]
        return (*place, *[slice(None)] * (len(self._reader.info(name).dims) - len(place)))

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
