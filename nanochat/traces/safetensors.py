"""Traces as safetensors files: the document as JSON text in the header's metadata, the tensors behind it."""

import os
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from nanochat.errors import TraceUnreadableError
from nanochat.traces.atomic_file import Output
from nanochat.traces.json_index import StepIndex, TraceIndex
from nanochat.traces.json_scanner import loads
from nanochat.traces.json_writer import LARGEST_DOCUMENT, Infos, OwnStep, Tensors, check_size, document_json
from nanochat.traces.tensors import DTYPES, LazyTensors, Span, TensorInfo, read_bytes

STEPS = "intermediate_steps"
METADATA_KEY = "nanoscope.trace"
_LENGTH = struct.Struct("<Q")
_LARGEST_HEADER = 100_000_000  # the format's own limit
_ALIGNMENT = 8
_COPY_BYTES = 4 << 20
_NAMES = {stored: ours for ours, (_, stored) in DTYPES.items()}


def write_trace(
    output: Output,
    document: Mapping[str, Any],
    tensors: Tensors,
    infos: Infos,
    own_steps: Sequence[OwnStep] = (),
) -> dict[str, Span]:
    """Write a whole trace; where each tensor's bytes lie.

    The steps of an older file (`own_steps`) become tensors named `intermediate_steps.<number>.<name>`.

    `tensors` is read one tensor at a time, in the order of `infos`, whose dtypes and shapes it must have.
    """
    if own_steps:
        document = {**document, STEPS: [small for small, _, _ in own_steps]}
        tensors, infos = _with_own_steps(tensors, infos, own_steps)
    text = document_json(document).decode()
    check_size(len(text), LARGEST_DOCUMENT)
    header: dict[str, Any] = {"__metadata__": {"format": "pt", METADATA_KEY: text}}
    offsets: dict[str, Span] = {}
    position = 0
    for name, info in infos.items():
        dtype, stored = DTYPES[info.dtype]
        offsets[name] = Span(position, position + info.size * dtype.itemsize)
        position = offsets[name].end
        header[name] = {
            "dtype": stored,
            "shape": list(info.dims),
            "data_offsets": [offsets[name].start, offsets[name].end],
        }
    head = orjson.dumps(header)
    check_size(len(head), _LARGEST_HEADER - _ALIGNMENT)  # quotes within the text take more room here
    head += b" " * (-len(head) % _ALIGNMENT)
    output.write(_LENGTH.pack(len(head)) + head)
    start = output.position
    for name in infos:
        values = np.ascontiguousarray(tensors[name]).reshape(-1).view(np.uint8)
        for first in range(0, values.size, _COPY_BYTES):
            output.write(values[first : first + _COPY_BYTES].data)
    return {name: Span(start + span.start, start + span.end) for name, span in offsets.items()}


def _with_own_steps(tensors: Tensors, infos: Infos, steps: Sequence[OwnStep]) -> tuple[Tensors, Infos]:
    all_infos, sources = dict(infos), {name: (tensors, name) for name in infos}
    for number, (_, step_tensors, step_infos) in enumerate(steps):
        for name, info in step_infos.items():
            all_infos[f"{STEPS}.{number}.{name}"] = info
            sources[f"{STEPS}.{number}.{name}"] = (step_tensors, name)
    return LazyTensors(list(sources), lambda name: sources[name][0][sources[name][1]]), all_infos


def scan_trace(descriptor: int, size: int) -> TraceIndex:
    """The document and the places of the tensors; TraceUnreadableError says what is wrong with the file."""
    header, start = _read_header(descriptor, size)
    metadata = header.pop("__metadata__", None)
    text = metadata.get(METADATA_KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise TraceUnreadableError(f"It is not a trace: its header holds no {METADATA_KEY!r}.")
    try:
        document = loads(text.encode())
    except ValueError as error:
        raise TraceUnreadableError(f"Its document is not JSON ({error}).") from None
    if not isinstance(document, dict):
        raise TraceUnreadableError("Its document is not an object.")
    steps = document.pop(STEPS, None)
    smalls = [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
    index = TraceIndex(document, steps=[StepIndex(small) for small in smalls])
    end = 0
    for name, entry in header.items():
        info, span = _entry(name, entry)
        if span.start < 0 or span.end > size - start:
            raise TraceUnreadableError(f"The file ends before the tensor {name}; it was cut short.")
        owner, name = _owner(index, name)
        owner.infos[name], owner.tensors[name] = info, Span(start + span.start, start + span.end)
        end = max(end, span.end)
    if start + end != size:
        raise TraceUnreadableError(f"The file has {size} bytes where its header describes {start + end}.")
    return index


def _owner(index: TraceIndex, name: str) -> tuple[TraceIndex | StepIndex, str]:
    """Whether a tensor belongs to the trace or to one of its own steps, and its name there."""
    group, _, rest = name.partition(".")
    number, _, inner = rest.partition(".")
    if group == STEPS and inner and number.isdecimal() and int(number) < len(index.steps):
        return index.steps[int(number)], inner
    return index, name


def _read_header(descriptor: int, size: int) -> tuple[dict[str, Any], int]:
    """The header's JSON object, and where the tensors begin."""
    prefix = os.pread(descriptor, _LENGTH.size, 0)
    if len(prefix) < _LENGTH.size:
        raise TraceUnreadableError("The file is too short to be a trace; delete it.")
    (length,) = _LENGTH.unpack(prefix)
    if length > min(size - _LENGTH.size, _LARGEST_HEADER):
        raise TraceUnreadableError("The header is longer than the file; it was cut short or is not a trace.")
    try:
        header = orjson.loads(os.pread(descriptor, length, _LENGTH.size))
    except ValueError as error:
        raise TraceUnreadableError(f"The header is not JSON ({error}).") from None
    if not isinstance(header, dict):
        raise TraceUnreadableError("The header is not an object.")
    return header, _LENGTH.size + length


def _entry(name: str, entry: Any) -> tuple[TensorInfo, Span]:
    """Shape, dtype and offsets of a tensor, checked against each other."""
    try:
        dtype, shape, (start, end) = _NAMES[entry["dtype"]], tuple(entry["shape"]), entry["data_offsets"]
        info = TensorInfo(shape, dtype)
        whole = all(type(number) is int and 0 <= number < 1 << 48 for number in (*shape, start, end))
        if whole and len(shape) <= 16 and end - start == info.size * DTYPES[dtype][0].itemsize:
            return info, Span(start, end)
    except (KeyError, TypeError, ValueError):
        pass
    raise TraceUnreadableError(f"The header describes the tensor {name} wrongly.")


def read_values(descriptor: int, span: Span, dtype: str, first: int, last: int) -> np.ndarray:
    """Values [first, last) of a tensor, flat; ValueError if the file has become shorter."""
    width = DTYPES[dtype][0].itemsize
    return np.frombuffer(read_bytes(descriptor, span.start + first * width, (last - first) * width), DTYPES[dtype][0])
