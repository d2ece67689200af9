"""Writes a trace as JSON: metadata first, tensors last, steps as copies of the rows already written."""

import json
import mmap
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import orjson

from nanochat.errors import SettingInvalidError
from nanochat.traces.atomic_file import Output
from nanochat.traces.content import Infos, OwnStep, Tensors
from nanochat.traces.document import read_tokens
from nanochat.traces.json.numbers import rows_as_json
from nanochat.traces.tensors import Span, TensorInfo, nest, step_index

_BLOCK_VALUES = 1 << 14  # values encoded at once: 0.6 ms with the interpreter locked, and its text stays in the cache
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
_ZERO = b",0.0"
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_MARKS = [chr(code) for code in range(0xFDD0, 0xFDF0)]  # code points that stand for nothing
LARGEST_DOCUMENT = 64 << 20  # bytes of all but the tensors: readers take no more for a trace


@dataclass
class _Rows:
    """Where each row of a written tensor's last dimension lies in the file; whether it is zero past its diagonal."""

    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    causal: list[bool] = field(default_factory=list)

    def add(self, text: bytes, position: int, first_row: int, shape: tuple[int, ...]) -> None:
        """Note the rows of a block `[[..],[..]]`, whose first byte would lie at `position`."""
        square = len(shape) == 4 and shape[-1] == shape[-2]
        start, row, columns = 2, first_row, shape[-1]
        while (end := text.find(b"]", start)) >= 0 and start < len(text):
            self.starts.append(position + start)
            self.ends.append(position + end)
            if square:
                later = columns - 1 - row % columns
                self.causal.append(text.endswith(_ZERO * later, start, end))
            start, row = end + 3, row + 1


def document_json(document: Mapping[str, Any]) -> bytes:
    """A document as JSON text: NaN and infinity are null, lone surrogates become U+FFFD.

    Raises SettingInvalidError for what JSON cannot hold.
    """
    try:
        return orjson.dumps(document, option=_OPTIONS)
    except (TypeError, ValueError, RecursionError):
        pass
    try:
        text = json.dumps(_plain(document), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        return without_surrogates(text).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise SettingInvalidError(
            f"The trace's metadata cannot be stored as JSON ({error}); keep to strings, numbers, lists and dicts."
        ) from error


def check_size(size: int, limit: int) -> None:
    """Refuse a document that no reader would take for one."""
    if size > limit:
        raise SettingInvalidError(
            f"Without its tensors the trace has {size:,} bytes, and {limit:,} at most can be read back: put less into "
            "its texts and metadata."
        )


def without_surrogates(text: str) -> str:
    """Text that UTF-8 can hold: a lone surrogate becomes U+FFFD."""
    if text.isascii():
        return text
    mark = next((mark for mark in _MARKS if mark not in text), None)
    if mark is None or _PAIR.search(text):
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    # Of all that encodes, this alone takes no longer where there are many; it makes a question mark of each.
    replaced = text.replace("?", mark).encode(errors="replace").decode()
    return replaced.replace("?", "\ufffd").replace(mark, "?")


def _plain(value: Any) -> Any:
    """What orjson refuses (huge integers, lone surrogates) beside what json refuses (NaN, numpy)."""
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else json.dumps(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def write_trace(
    output: Output,
    document: Mapping[str, Any],
    tensors: Tensors,
    infos: Infos,
    *,
    steps: bool,
    own_steps: Sequence[OwnStep] = (),
) -> tuple[int, dict[str, Span]]:
    """Write a whole trace; the length of its head and where each tensor's data lies.

    `steps`: spell out the steps, from the rows of the tensors; or `own_steps`, those of an older file, as they are.
    `tensors` is read one tensor at a time, in the order of `infos`, whose dtypes and shapes it must have.
    """
    head = document_json(document)
    check_size(len(head), LARGEST_DOCUMENT)
    output.write(head[:-1])
    output.write(b'"model_data":{' if head == b"{}" else b',"model_data":{')
    spans: dict[str, Span] = {}
    rows: dict[str, _Rows] = {}

    def leaf(name: str) -> None:
        rows[name] = _Rows()
        spans[name] = _write_leaf(output, tensors[name], infos[name], rows[name] if steps else None)

    _write_tree(output, nest({name: name for name in infos}), leaf)
    output.write(b"}")
    if own_steps:
        _write_own_steps(output, own_steps)
    elif steps:
        _write_steps(output, document, infos, rows)
    output.write(b"}\n")
    return len(head) - 1, spans


def _write_leaf(output: Output, array: np.ndarray, info: TensorInfo, rows: _Rows | None) -> Span:
    output.write(b'{"data":')
    start = output.position
    _write_tensor(output, array, rows)
    span = Span(start, output.position)
    output.write(_leaf_end(info.dims, info.dtype))
    return span


def _leaf_end(shape: Sequence[int], dtype: str) -> bytes:
    return b',"shape":%b,"dtype":"torch.%b"}' % (orjson.dumps(list(shape)), dtype.encode())


def _write_tree(output: Output, tree: Mapping[str, Any], leaf: Callable[[Any], None]) -> None:
    """The inside of an object: nested names, and `leaf(name)` writing each value."""
    comma = b""
    for key, value in tree.items():
        output.write(comma + orjson.dumps(key) + b":")
        if isinstance(value, dict):
            output.write(b"{")
            _write_tree(output, value, leaf)
            output.write(b"}")
        else:
            leaf(value)
        comma = b","


def _write_tensor(output: Output, array: np.ndarray, rows: _Rows | None) -> None:
    """Nested lists of a tensor with at least one dimension, block by block; `rows` notes where its rows lie."""
    if array.size == 0:
        output.write(orjson.dumps(array.tolist()))
        return
    columns = array.shape[-1]
    flat = array.reshape(-1, columns)
    group = array.shape[-2] if array.ndim > 1 else 1
    block = max(1, _BLOCK_VALUES // columns)
    output.write(b"[" * array.ndim)
    for first in range(0, len(flat), group):
        if first:
            output.write(_separator(array.shape, first))
        for row in range(first, first + group, block):
            if row > first:
                output.write(b"],[")
            text = rows_as_json(flat[row : min(row + block, first + group)])
            if rows is not None:
                rows.add(text, output.position - 2, row, array.shape)
            output.write(memoryview(text)[2:-2])
    output.write(b"]" * array.ndim)


def _separator(shape: tuple[int, ...], row: int) -> bytes:
    """What stands before row `row` of the last dimension: one bracket pair for each dimension that begins anew."""
    brackets, rows = 1, 1
    for size in reversed(shape[1:-1]):
        rows *= size
        if row % rows:
            break
        brackets += 1
    return b"]" * brackets + b"," + b"[" * brackets


def _write_steps(output: Output, document: Mapping[str, Any], infos: Infos, rows: Mapping[str, _Rows]) -> None:
    """The steps, each copied from the rows that the file already holds."""
    tokens = read_tokens(document)
    positions, generated = tokens.positions, tokens.generated
    output.write(b',"intermediate_steps":[')
    output.flush()
    with mmap.mmap(output.descriptor, output.position, access=mmap.ACCESS_READ) as file, memoryview(file) as text:
        for step in range(positions.steps):
            token = generated[step] if step < len(generated) else None
            head = orjson.dumps({"step": step, "token": token})
            output.write((b"," if step else b"") + head[:-1])
            places = {
                name: (name, index)
                for name, info in infos.items()
                if info.size and (index := step_index(name, info.shape, positions, step))
            }
            if places:
                output.write(b",")
            _write_tree(output, nest(places), lambda place: _write_view(output, text, infos, rows, *place))
            output.write(b"}")
        output.flush()
    output.write(b"]")


def _write_own_steps(output: Output, steps: Sequence[OwnStep]) -> None:
    """Steps that have tensors of their own."""
    output.write(b',"intermediate_steps":[')
    for number, (small, tensors, infos) in enumerate(steps):
        output.write((b"," if number else b"") + document_json(small)[:-1] + (b"," if infos else b""))

        def leaf(name: str, tensors: Tensors = tensors, infos: Infos = infos) -> None:
            _write_leaf(output, tensors[name], infos[name], None)

        _write_tree(output, nest({name: name for name in infos}), leaf)
        output.write(b"}")
    output.write(b"]")


def _write_view(
    output: Output,
    text: memoryview,
    infos: Infos,
    rows: Mapping[str, _Rows],
    name: str,
    index: tuple[slice, ...],
) -> None:
    """One tensor of one step: rows [first, last) of its second dimension, or of each attention head."""
    shape, known = infos[name].dims, rows[name]
    output.write(b'{"data":' + b"[" * len(shape))
    first, last = index[-1].start, index[-1].stop
    if len(index) == 4:
        first, keys = index[2].start, index[3].stop
        view = (1, shape[1], last - first, keys)
        for head in range(shape[1]):
            output.write(b"]],[[" if head else b"")
            for row in range(head * shape[2] + first, head * shape[2] + last):
                output.write(b"" if row == head * shape[2] + first else b"],[")
                output.write(text[known.starts[row] : _prefix_end(text, known, row, keys, shape[3])])
    elif len(shape) == 2:  # one number a position, such as log_sum_exp
        view = (1, last - first)
        numbers = bytes(text[known.starts[0] : known.ends[0]]).split(b",")
        output.write(b",".join(numbers[first:last]))
    else:
        inner = prod(shape[2:-1])
        view = (1, last - first, *shape[2:])
        output.write(text[known.starts[first * inner] : known.ends[last * inner - 1]])
    output.write(b"]" * len(shape) + _leaf_end(view, infos[name].dtype))


def _prefix_end(text: memoryview, rows: _Rows, row: int, keys: int, columns: int) -> int:
    """Where the first `keys` values of a row end."""
    if rows.causal[row] and keys > row % columns:
        return rows.ends[row] - len(_ZERO) * (columns - keys)
    start, end = rows.starts[row], rows.ends[row]
    values = bytes(text[start:end]).split(b",")
    return start + sum(map(len, values[:keys])) + keys - 1
