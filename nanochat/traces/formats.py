"""The two formats of a trace file behind one face: scan, assemble, write."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nanochat.checkpoints.file_kind import JSON, SAFETENSORS, what_it_is
from nanochat.errors import SettingInvalidError, TraceUnreadableError
from nanochat.traces import json_index, json_writer
from nanochat.traces import safetensors as trace_safetensors
from nanochat.traces.atomic_file import Output
from nanochat.traces.file import TraceFile
from nanochat.traces.json_index import TENSOR_KEYS, TraceIndex
from nanochat.traces.json_writer import Infos, OwnStep, Tensors
from nanochat.traces.tensors import (
    FLOATS,
    STORABLE_FLOATS,
    LazyTensors,
    TensorInfo,
    data_info,
    document_positions,
    in_file_order,
    to_dtype,
)

FORMATS = ("json", "safetensors")
_BEGINNINGS = {
    "json": (0, json_index.CANONICAL_START),
    "safetensors": (8, b'{"__metadata__":{"format":"pt","%b":"' % trace_safetensors.METADATA_KEY.encode()),
}
DOCUMENT_KEYS = (
    "schema_version", "trace_id", "timestamp", "prompt", "response", "category", "metadata", "model", "generation",
    "messages", "tokens", "analysis",
)  # fmt: skip


@dataclass(frozen=True)
class Content:
    """What a trace file is to hold; `tensors` is read one at a time.

    `steps`: the steps, as views of the tensors, are part of it. `own_steps`: those of an older file.
    """

    document: dict[str, Any]
    tensors: Tensors
    infos: dict[str, TensorInfo]
    steps: bool = False
    own_steps: Sequence[OwnStep] = field(default_factory=list)


def scan_file(file: TraceFile) -> TraceIndex:
    """What a trace file holds; TraceUnreadableError if it is damaged."""
    scan = trace_safetensors.scan_trace if file.format == "safetensors" else json_index.scan_trace
    try:
        return scan(file.fileno(), file.status().st_size)
    except (TraceUnreadableError, OSError, ValueError) as error:
        found = what_it_is(file.fileno(), SAFETENSORS if file.format == "safetensors" else JSON)
        if found and file.status().st_size:
            raise TraceUnreadableError(f"It is {found}.") from error
        if isinstance(error, TraceUnreadableError):
            raise
        raise TraceUnreadableError(f"The file cannot be read ({error}).") from error


def is_trace_of_ours(file: TraceFile) -> bool:
    """Whether a file begins as traces do that this program writes, be it damaged behind that or not."""
    place, beginning = _BEGINNINGS[file.format]
    try:
        return os.pread(file.fileno(), len(beginning), place) == beginning
    except OSError:
        return False


def assemble(
    document: Mapping[str, Any],
    tensors: Tensors,
    infos: Infos,
    *,
    dtype: str | None = None,
    steps: bool = False,
    own_steps: Sequence[OwnStep] = (),
) -> Content:
    """The document in file order with its `data_info`, the tensors in file order and in the dtype asked for."""
    if dtype is not None and dtype not in STORABLE_FLOATS:
        raise SettingInvalidError(f"The dtype {dtype!r} cannot be stored; use one of {', '.join(STORABLE_FLOATS)}.")
    left_out = {"data_info", *TENSOR_KEYS}
    keys = [key for key in DOCUMENT_KEYS if key in document]
    keys += [key for key in document if key not in keys and key not in left_out]
    ordered = {key: document[key] for key in keys}
    converted, kept = _converted(tensors, infos, dtype)
    ordered["data_info"] = data_info(kept, document_positions(document), steps or bool(own_steps))
    own = [(small, *_converted(step_tensors, step_infos, dtype)) for small, step_tensors, step_infos in own_steps]
    return Content(ordered, converted, kept, steps, own)


def _converted(tensors: Tensors, infos: Infos, dtype: str | None) -> tuple[Tensors, dict[str, TensorInfo]]:
    """Tensors in file order and in the dtype asked for, and their infos."""
    names = in_file_order(infos)
    kept = {
        name: TensorInfo(infos[name].shape, dtype if dtype and infos[name].dtype in FLOATS else infos[name].dtype)
        for name in names
    }
    return LazyTensors(names, lambda name: to_dtype(name, tensors[name], dtype)), kept


def write(output: Output, format: str, content: Content) -> TraceIndex:
    """Write a trace in one of the formats; the index that scanning the file would give."""
    index = TraceIndex(content.document, infos=content.infos)
    parts = (output, content.document, content.tensors, content.infos)
    if format == "json":
        steps, own_steps = content.steps, content.own_steps
        index.head_end, index.tensors = json_writer.write_trace(*parts, steps=steps, own_steps=own_steps)
    else:
        index.tensors = trace_safetensors.write_trace(*parts, content.own_steps)
    return index
