"""Finds out what a JSON trace holds and where, without parsing its number arrays."""

import os
from typing import Any

from nanochat.errors import TraceUnreadableError
from nanochat.traces.format import StepIndex, TraceIndex
from nanochat.traces.json.scanner import LONGEST_VALUE, SPACE, TAIL, JsonScanner, loads
from nanochat.traces.tensors import DTYPES, TENSOR_KEYS, Span, TensorInfo

CANONICAL_START = b'{"schema_version":1,"trace_id":'
CANONICAL_END = b"}\n"
_HEAD = 1 << 15  # bytes: the heads of most traces
_ATTEMPTS = 16  # at parsing what stands before the key: where its name is in many places, walking is faster
_PIECE = 1 << 20
SEARCHED_BY_LISTINGS = 1 << 19  # bytes; what follows a first document in larger files is found when they are opened
_SEARCHED = 64 << 20
_BYTE_ORDER_MARKS = {  # the longer ones first: one begins as another
    b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32", b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}  # fmt: skip


def read_head(descriptor: int, size: int) -> tuple[dict[str, Any], int] | None:
    """The document before the key `model_data`, and its length; None if that is not how the file is laid out.

    The text before that key, closed with a brace, is JSON only if the key is one of the outermost object.
    """
    length, searched, attempts = _HEAD, 0, 0
    while True:
        text = os.pread(descriptor, min(length, size), 0)
        while (place := text.find(b'"model_data"', searched)) >= 0:
            head = text[:place].rstrip(SPACE)
            searched = place + 1
            if head.endswith((b",", b"{")):
                attempts += 1
                if attempts > _ATTEMPTS:
                    return None
                try:
                    document = loads(head.removesuffix(b",") + b"}")
                except ValueError:
                    continue
                if isinstance(document, dict) and not document.keys() & set(TENSOR_KEYS):
                    return document, len(head.removesuffix(b","))
        if length >= min(size, LONGEST_VALUE):
            return None
        searched, length = max(0, len(text) - 12), length * 8


def closes_well(descriptor: int, size: int) -> bool:
    """Whether the last thing in the file closes an object: what a file that was cut short hardly ever does."""
    return os.pread(descriptor, TAIL, max(0, size - TAIL)).rstrip(SPACE).endswith(b"}")


def is_canonical(descriptor: int, size: int, searched: int = SEARCHED_BY_LISTINGS) -> bool:
    """Whether the file begins and ends as this program writes them: only a whole one does.

    In files of up to `searched` bytes, also that it is one line, as one document is.
    """
    head = os.pread(descriptor, _HEAD, 0)  # in one go, as the head will be read next
    ends = os.pread(descriptor, len(CANONICAL_END), max(0, size - len(CANONICAL_END)))
    if not head.startswith(CANONICAL_START) or ends != CANONICAL_END:
        return False
    return size > searched or _is_one_line(descriptor, size)


def _is_one_line(descriptor: int, size: int) -> bool:
    places = range(0, size - 1, _PIECE)
    return not any(b"\n" in os.pread(descriptor, min(_PIECE, size - 1 - place), place) for place in places)


def _check_mark(descriptor: int) -> None:
    start = os.pread(descriptor, 4, 0)
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if start.startswith(mark):
            raise TraceUnreadableError(
                f"It begins with the byte order mark (BOM) of {encoding}, which JSON does not have: save it as UTF-8 "
                "without one."
            )


def scan_trace(descriptor: int, size: int) -> TraceIndex:
    """Walk a JSON trace; TraceUnreadableError says what is wrong with it, and where."""
    if size == 0:
        raise TraceUnreadableError("The file is empty; delete it.")
    _check_mark(descriptor)
    head = read_head(descriptor, size)
    scanner = JsonScanner(descriptor, size)
    index = TraceIndex(document={})
    if head is None:
        position = scanner.expect(b"{", 0)
    else:
        index.document, index.head_end = head
        position = scanner.expect(b",", head[1]) if index.document else head[1]
    trees: dict[str, Any] = {}
    canonical = is_canonical(descriptor, size, _SEARCHED)
    for key, value, span in scanner.members(position, 1):
        if key in TENSOR_KEYS:
            trees[key] = value
        else:
            index.document[key] = _parse(descriptor, span)
            index.head_end = None
        if canonical and key == "model_data":
            scanner.expect_end_or_more(span.end)
            break  # its steps are views of these tensors
    else:
        scanner.expect_end()
    _collect(descriptor, trees.get("model_data"), (), index.tensors, index.infos)
    steps = trees.get("intermediate_steps")
    if "schema_version" in index.document or not isinstance(steps, list):
        return index
    for number, step in enumerate(steps):
        if isinstance(step, dict):
            index.steps.append(_step(descriptor, step, number))
    return index


def _parse(descriptor: int, span: Span) -> Any:
    try:
        return loads(span.read(descriptor))
    except ValueError as error:
        raise TraceUnreadableError(f"The value at byte {span.start} is not JSON ({error}).") from None


def _step(descriptor: int, step: dict[str, Any], number: int) -> StepIndex:
    large = {key: value for key, value in step.items() if isinstance(value, Span | dict | list)}
    index = StepIndex({"step": number, **{key: value for key, value in step.items() if key not in large}})
    _collect(descriptor, large, (), index.tensors, index.infos)
    return index


def _collect(
    descriptor: int, tree: Any, path: tuple[str, ...], spans: dict[str, Span], infos: dict[str, TensorInfo]
) -> None:
    """Tensors of a tree of nested names: dicts with `data`, and bare arrays."""
    if isinstance(tree, Span) and path:
        tree = {"data": tree}
    if not isinstance(tree, dict):
        return
    if not tree.keys() & {"data", "shape"}:
        for key, value in tree.items():
            _collect(descriptor, value, (*path, key), spans, infos)
    elif isinstance(tree.get("data"), Span):
        name = ".".join(path)
        spans[name] = tree["data"]
        infos[name] = _info(descriptor, tree.get("shape"), tree.get("dtype", "float32"))


def _info(descriptor: int, shape: Any, dtype: Any) -> TensorInfo:
    dtype = dtype.removeprefix("torch.") if isinstance(dtype, str) else "?"
    problem = "" if dtype in DTYPES else "its dtype is unknown"
    if shape is None:
        return TensorInfo(None, dtype, problem)
    numbers: Any = None
    if isinstance(shape, Span) and shape.end - shape.start <= TAIL:
        numbers = _parse(descriptor, shape)
    if not isinstance(numbers, list) or not 0 < len(numbers) <= 16 or not all(map(_is_size, numbers)):
        return TensorInfo(None, dtype, problem or "its shape is not a list of sizes")
    return TensorInfo(tuple(numbers), dtype, problem)


def _is_size(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 1 << 48
