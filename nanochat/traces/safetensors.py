"""Traces as safetensors files: the document as JSON text in the header's metadata, the tensors behind it."""

import os
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from nanochat.checkpoints.file_kind import SAFETENSORS as KIND
from nanochat.errors import TraceUnreadableError
from nanochat.traces.atomic_file import Output
from nanochat.traces.blocks import Block
from nanochat.traces.content import Content, Infos, OwnStep, Tensors
from nanochat.traces.format import Format, StepIndex, TraceIndex
from nanochat.traces.json.scanner import loads
from nanochat.traces.json.writer import LARGEST_DOCUMENT, check_size, document_json
from nanochat.traces.tensors import DTYPES, LazyTensors, Positions, Span, TensorInfo, read_bytes

STEPS = "intermediate_steps"
METADATA_KEY = "nanoscope.trace"
_LENGTH = struct.Struct("<Q")
_LARGEST_HEADER = 100_000_000  # the format's own limit
_ALIGNMENT = 8
_COPY_BYTES = 4 << 20
_NAMES = {stored: ours for ours, (_, stored) in DTYPES.items()}


def write_trace(output: Output, content: Content) -> TraceIndex:
    """Write a whole trace, reading one tensor at a time.

    The steps of an older file (`own_steps`) become tensors named `intermediate_steps.<number>.<name>`.
    """
    document, tensors, infos, own_steps = content.document, content.tensors, content.infos, content.own_steps
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
    spans = {name: Span(start + span.start, start + span.end) for name, span in offsets.items()}
    return TraceIndex(content.document, spans, content.infos)


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


def read_block(descriptor: int, span: Span, info: TensorInfo, block: Block) -> np.ndarray:
    """The values of a block, flat; ValueError if the file has become shorter."""
    dtype, columns = DTYPES[info.dtype][0], info.dims[-1] if info.dims else 1
    row = columns * dtype.itemsize
    first, length = span.start + block.first * row, (block.last - block.first) * row
    return np.frombuffer(read_bytes(descriptor, first, length), dtype)


def expected_bytes(infos: Infos, _positions: Positions, _steps: bool) -> int:
    """The bytes of tensors in a file; steps are views of them."""
    return sum(info.size * DTYPES[info.dtype][0].itemsize for info in infos.values())


SAFETENSORS = Format(
    name="safetensors",
    title="safetensors",
    kind=KIND,
    beginning=(_LENGTH.size, b'{"__metadata__":{"format":"pt","%b":"' % METADATA_KEY.encode()),
    compact=True,
    scan=scan_trace,
    write=write_trace,
    read_block=read_block,
    expected_bytes=expected_bytes,
)
