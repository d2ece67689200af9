"""Traces as JSON files: the document first, then the tensors, every number written out."""

from typing import Any

from nanochat.checkpoints.file_kind import JSON as KIND
from nanochat.traces.atomic_file import Output
from nanochat.traces.content import Content
from nanochat.traces.document import is_trace
from nanochat.traces.format import Format, TraceIndex
from nanochat.traces.json.blocks import inferred_shape, read_json_block
from nanochat.traces.json.index import CANONICAL_START, closes_well, is_canonical, read_head, scan_trace
from nanochat.traces.json.scanner import loads
from nanochat.traces.json.size import expected_bytes
from nanochat.traces.json.writer import write_trace
from nanochat.traces.tensors import TENSOR_KEYS, read_bytes

_SCANNED_WHOLE = 64 << 20  # bytes; of larger files listings read the head and the end
_PARSED_WHOLE = 1 << 16  # bytes; larger ones are walked, which jumps over their numbers


def write(output: Output, content: Content) -> TraceIndex:
    """Write a whole trace."""
    index = TraceIndex(content.document, infos=content.infos)
    index.head_end, index.tensors = write_trace(
        output, content.document, content.tensors, content.infos, steps=content.steps, own_steps=content.own_steps
    )
    return index


def scan_head(descriptor: int, size: int) -> TraceIndex | None:
    """The document of a file that is whole, or surely seems so, or is small; None: walking tells what it is."""
    large = size > _SCANNED_WHOLE and closes_well(descriptor, size)
    if large or is_canonical(descriptor, size):
        head = read_head(descriptor, size)
        return None if head is None else TraceIndex(head[0])
    document = _small_document(descriptor, size)
    return TraceIndex(document) if document else None


def _small_document(descriptor: int, size: int) -> dict[str, Any] | None:
    """The document of a small file, parsed at once, which is faster than walking."""
    if size > _PARSED_WHOLE:
        return None
    try:
        content = loads(read_bytes(descriptor, 0, size))
    except ValueError:
        return None
    if not isinstance(content, dict) or not is_trace(content):
        return None
    return {key: value for key, value in content.items() if key not in TENSOR_KEYS}


JSON = Format(
    name="json",
    title="JSON",
    kind=KIND,
    beginning=(0, CANONICAL_START),
    compact=False,
    scan=scan_trace,
    write=write,
    read_block=read_json_block,
    expected_bytes=expected_bytes,
    scan_head=scan_head,
    infer_shape=inferred_shape,
)
