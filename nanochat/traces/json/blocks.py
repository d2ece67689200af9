"""Reads a part of a JSON tensor, parsing no more text than that part's."""

from collections.abc import Sequence
from math import prod

import numpy as np

from nanochat.traces.blocks import Block
from nanochat.traces.json.numbers import parse_numbers, shaped
from nanochat.traces.json.scanner import loads
from nanochat.traces.tensors import DTYPES, Span, TensorInfo

_COMMA = ord(",")
_LONG_ROW = 4096  # bytes
_PARSED_AT_ONCE = 1 << 19  # bytes: what fits the caches, and lets other threads run in between


def read_json_block(descriptor: int, span: Span, info: TensorInfo, block: Block) -> np.ndarray:
    """The values of a block, (*block.shape); only that block's text is parsed.

    Raises ValueError where the text does not match the shape.
    """
    text, shape, dtype = span.read(descriptor), info.dims, info.dtype
    if not prod(shape):
        return shaped(parse_numbers(text, dtype), shape).reshape(block.shape)
    rows, columns = prod(shape[:-1]), shape[-1]
    opens, closes = _places(text, b"[", rows), _places(text, b"]", rows)
    if len(opens) == len(closes) == 1 and len(shape) > 1:  # written flat, with its shape beside it
        values = shaped(parse_numbers(text, dtype), shape).reshape(-1, columns)
        return values[block.first : block.last].reshape(block.shape)
    starts, ends = _rows(opens, closes, shape)
    values = np.empty((block.last - block.first, columns), dtype=DTYPES[dtype][0])
    at_once = max(1, _PARSED_AT_ONCE * rows // len(text))
    for first in range(block.first, block.last, at_once):
        last = min(first + at_once, block.last)
        part = text[starts[first] : ends[last - 1] + 1]
        _check_row_lengths(part, starts[first:last], ends[first:last], columns)
        # the rows may lie in several outer lists, whose brackets do not pair within the part
        numbers = parse_numbers(b"[%b]" % part.translate(None, b"[]"), dtype)
        values[first - block.first : last - block.first] = shaped(numbers, (last - first, columns))
    return values.reshape(block.shape)


def _places(text: bytes, bracket: bytes, rows: int) -> np.ndarray:
    """Where a bracket stands in the text."""
    if len(text) > _LONG_ROW * rows:  # few: from one to the next is faster than a look at every byte
        places = [text.find(bracket)]
        while places[-1] >= 0:
            places.append(text.find(bracket, places[-1] + 1))
        return np.array(places[:-1], dtype=np.int64)
    return np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord(bracket))


def _rows(opens: np.ndarray, closes: np.ndarray, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Where the brackets of each row of the last dimension stand; ValueError if they do not nest as the shape says."""
    count = prod(shape[:-1])
    expected = sum(prod(shape[:axis]) for axis in range(len(shape)))
    if len(opens) != expected or len(closes) != expected:
        raise ValueError(f"its brackets do not nest as its shape {list(shape)} says")
    row = np.arange(count)
    opened = np.zeros(count, dtype=np.int64)
    closed = np.zeros(count, dtype=np.int64)
    size = 1
    for length in reversed(shape[:-1]):
        size *= length
        opened += row // size + 1
        closed += row // size
    starts, ends = opens[opened + row], closes[closed + row]
    if np.any(starts >= ends) or np.any(starts[1:] <= ends[:-1]):
        raise ValueError(f"its brackets do not nest as its shape {list(shape)} says")
    return starts, ends


def _check_row_lengths(part: bytes, starts: np.ndarray, ends: np.ndarray, columns: int) -> None:
    """Every row must hold as many values as the last dimension: they could otherwise slip from one row to the next."""
    commas = np.flatnonzero(np.frombuffer(part, dtype=np.uint8) == _COMMA) + starts[0]
    inside = np.searchsorted(commas, ends) - np.searchsorted(commas, starts)
    if np.any(inside != columns - 1):
        raise ValueError(f"not every row holds {columns} numbers")


def inferred_shape(descriptor: int, span: Span) -> tuple[int, ...]:
    """The shape of a tensor that stands without one. Raises ValueError, TypeError, OverflowError for what has none."""
    return np.array(loads(span.read(descriptor)), np.float64).shape
