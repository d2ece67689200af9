"""What the catalogue keeps of a trace file: its line in listings, its summary, and where its tensors are."""

import re
from datetime import datetime
from typing import Any

import orjson

from nanochat.errors import TraceUnreadableError
from nanochat.traces.catalogue import FileKey, Row
from nanochat.traces.content import Infos
from nanochat.traces.document import Document, is_trace, read_document
from nanochat.traces.file import TraceFile
from nanochat.traces.format import TraceIndex
from nanochat.traces.json.scanner import loads
from nanochat.traces.json.writer import document_json
from nanochat.traces.provenance import changed_words, provenance
from nanochat.traces.tensors import Span, TensorInfo, data_info, read_bytes

_SHOWN_TEXT = 4000  # characters; other programs' traces have whatever they have
_SHOWN_NAME = 200
_SUMMARY_KEYS = ("timestamp", "prompt", "response", "category", "metadata", "model", "generation")
_TRACE_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")


def valid_trace_id(trace_id: Any) -> bool:
    """Whether a trace id may become a file name."""
    return isinstance(trace_id, str) and bool(_TRACE_ID.fullmatch(trace_id))


def summarize(document: Document, infos: Infos, *, steps: bool = False) -> dict[str, Any]:
    """What a summary holds: the document without tokens, messages and analysis, and the tensors' shapes and dtypes."""
    info, positions = document.data_info, document.tokens.positions
    if info is None:
        info = data_info(infos, positions, steps)
    elif positions.prompt:
        info = info | {"num_tokens": positions.count}  # older files have one more: the last token is not run over
    return {
        **{key: getattr(document, key) for key in _SUMMARY_KEYS},
        "data_info": info,
        "parent": parent_of(document),
        "position": document.position,
        "changed": changed_words(document.interventions),
        "interventions": document.interventions,
        "touched": document.touched,
    }


def parent_of(document: Document) -> str | None:
    """The trace that it was made from, where that is told by a trace's id."""
    return document.parent if valid_trace_id(document.parent) else None


def describe(name: str, key: FileKey, index: TraceIndex, *, complete: bool) -> Row:
    """The catalogue's row of a readable file; `complete`: the index has the places of all tensors."""
    if not is_trace(index.document) and not index.tensors:
        raise TraceUnreadableError("It is JSON, but not a trace; move it out of the traces folder.")
    document = read_document(index.document)
    entry = {
        "timestamp": document.timestamp[:_SHOWN_NAME],
        "category": document.category and document.category[:_SHOWN_NAME],
        "prompt": document.prompt[:_SHOWN_TEXT],
        "response": document.response[:_SHOWN_TEXT],
        "prompt_tokens": len(document.tokens.prompt),
        "response_tokens": len(document.tokens.generated),
        "readable": True,
        "reason": "",
        "moment": _moment(document.timestamp, key),
        **provenance(document),
    }
    if parent := parent_of(document):
        entry["parent"] = parent
    if document.position is not None:
        entry["position"] = document.position
    if changed := changed_words(document.interventions):
        entry["changed"] = changed
    tensors = None
    if complete and index.head_end is not None and not index.steps:
        infos = index.infos
        places = {
            tensor: [span.start, span.end, infos[tensor].shape, infos[tensor].dtype, infos[tensor].problem]
            for tensor, span in index.tensors.items()
        }
        tensors = orjson.dumps({"head_end": index.head_end, "tensors": places})
    summary = None
    if complete or document.data_info is not None:
        summary = document_json(summarize(document, index.infos, steps=bool(index.steps)))
    return Row(name, key, document_json(entry), summary, tensors)


def known_index(row: Row, file: TraceFile) -> TraceIndex | None:
    """The index of a JSON trace from its row, so that the file need not be walked; None if the row does not hold it."""
    if row.tensors is None:
        return None
    places = orjson.loads(row.tensors)
    head_end = places["head_end"]
    index = TraceIndex(loads(read_bytes(file.fileno(), 0, head_end) + b"}"), head_end=head_end)
    for name, (start, end, shape, dtype, problem) in places["tensors"].items():
        index.tensors[name] = Span(start, end)
        index.infos[name] = TensorInfo(None if shape is None else tuple(shape), dtype, problem)
    return index


def unreadable(name: str, key: FileKey, reason: str) -> Row:
    """The row of a file that is not a trace, or not a whole one."""
    entry = {
        "timestamp": "", "category": None, "prompt": "", "response": "", "prompt_tokens": 0, "response_tokens": 0,
        "readable": False, "reason": reason[:_SHOWN_TEXT], "moment": key.mtime_ns / 1e9,
    }  # fmt: skip
    return Row(name, key, document_json(entry))


def _moment(timestamp: str, key: FileKey) -> float:
    """When a trace was made. A time without its offset from UTC may be of any zone: the file's own time is nearer."""
    try:
        made = datetime.fromisoformat(timestamp)
    except ValueError:
        return key.mtime_ns / 1e9
    return made.timestamp() if made.tzinfo else key.mtime_ns / 1e9


def read_row(file: TraceFile) -> Row:
    """The row of a file, read without parsing tensors. Raises TraceUnreadableError."""
    key = FileKey.of(file.status())
    file.expect_parts()
    scan_head = file.format.scan_head
    head = scan_head(file.fileno(), key.size) if scan_head else None
    if head is not None:
        return describe(file.path.name, key, head, complete=False)
    return describe(file.path.name, key, file.scan(), complete=True)
