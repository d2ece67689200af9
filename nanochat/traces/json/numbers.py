"""Numbers as JSON text and back: the fewest digits that give a dtype's value again, and exact parsing."""

import functools
import json
import math
from decimal import Decimal
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
import orjson
import simdjson

from nanochat.traces.tensors import BFLOAT16, DTYPES, FLOATS

_NULL = b"null"
_WIDTH = 16  # bytes of a table row: the longest text of a 16-bit float, and "],["
_MOST_DIGITS = 9
_DEEPEST = 32  # dimensions
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY


def rows_as_json(rows: np.ndarray) -> bytes:
    """A block of rows (R, D), R and D at least 1, as `[[a,b],[c,d]]`; a non-finite number is null."""
    if rows.dtype == np.float16 or rows.dtype == BFLOAT16:
        patterns = np.ascontiguousarray(rows).view(np.uint16)
        table = _table(rows.dtype.name)
        table.fill(patterns)
        text = table.inner[patterns]
        text[:, -1] = table.last[patterns[:, -1]]
        return b"[[" + text.tobytes().translate(None, b"\0")[:-2] + b"]"
    return orjson.dumps(np.ascontiguousarray(rows), option=_OPTIONS)


class _ShortTexts:
    """The JSON text of every 16-bit float met so far, padded with NUL, as an inner and as a last element of a row."""

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype
        self.known = np.zeros(1 << 16, dtype=bool)
        self.inner = np.zeros(1 << 16, dtype=f"S{_WIDTH}")
        self.last = np.zeros(1 << 16, dtype=f"S{_WIDTH}")

    def fill(self, patterns: np.ndarray) -> None:
        if self.known[patterns].all():
            return
        new = np.unique(patterns[~self.known[patterns]]).astype(np.uint16)
        for pattern, text in zip(new.tolist(), shortest_texts(new.view(self.dtype)), strict=True):
            assert len(text) <= _WIDTH - 3
            self.inner[pattern] = text + b","
            self.last[pattern] = text + b"],["
        self.known[new] = True


@functools.cache
def _table(dtype: str) -> _ShortTexts:
    return _ShortTexts(DTYPES[dtype][0])


def shortest_texts(values: np.ndarray) -> list[bytes]:
    """JSON text with the fewest digits that reads back as each float16 or bfloat16 value, the nearest such text."""
    with np.errstate(invalid="ignore"):
        exact = values.astype(np.float64)
    texts = [_NULL] * len(values)
    for place in np.flatnonzero(exact == 0):
        texts[place] = b"-0.0" if np.signbit(exact[place]) else b"0.0"
    pending = np.flatnonzero(np.isfinite(exact) & (exact != 0))
    for digits in range(1, _MOST_DIGITS + 1):
        doubles = np.array([_nearest_reading_back(exact[place], values[place], digits) for place in pending])
        found = _narrow(doubles, values.dtype) == values[pending]
        for place, double in zip(pending[found], doubles[found].tolist(), strict=True):
            texts[place] = _shorter_notation(double, digits)
        pending = pending[~found]
        if not pending.size:
            return texts
    raise AssertionError(f"{_MOST_DIGITS} digits are too few for {exact[pending]}")


def _shorter_notation(double: float, digits: int) -> bytes:
    mantissa, exponent = f"{double:.{digits - 1}e}".split("e")
    plain, scientific = repr(double), f"{mantissa}e{int(exponent)}"
    return (scientific if "e" in plain or len(scientific) < len(plain) else plain).encode()


def _nearest_reading_back(exact: float, value: np.generic, digits: int) -> float:
    """The decimal of so many digits that is nearest to a value, or its neighbour if only that one reads back.

    Only at a power of two can that be: the values below it are twice as close as those above.
    """
    near = f"{exact:.{digits - 1}e}"
    if math.frexp(exact)[0] not in (0.5, -0.5):
        return float(near)
    decimal = Decimal(near)
    unit = Decimal((0, (1,), decimal.adjusted() - digits + 1))
    candidates = sorted(
        (decimal - unit, decimal, decimal + unit), key=lambda candidate: abs(candidate - Decimal(exact))
    )
    fitting = (float(c) for c in candidates if _narrow(np.array([float(c)]), value.dtype)[0] == value)
    return next(fitting, float(near))


def _narrow(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(dtype)


def parse_numbers(text: bytes, dtype: str) -> np.ndarray:
    """All numbers of a JSON array, however nested, in one flat array of that dtype; null, NaN, Infinity are read too.

    Raises ValueError for text that is not a JSON array of numbers.
    """
    if dtype not in FLOATS:
        return _parse_integers(text, DTYPES[dtype][0])
    values = _parse_doubles(text)
    if dtype == "float32":
        return _to_float32(values, text)
    return _narrow(values, DTYPES[dtype][0])


def _flat_buffer(text: bytes, kind: str) -> Any:
    array: Any = simdjson.Parser().parse(text)
    return array.as_buffer(of_type=kind)


def _parse_doubles(text: bytes) -> np.ndarray:
    try:
        return np.frombuffer(_flat_buffer(text, "d"), dtype=np.float64)
    except (ValueError, TypeError, AttributeError, RuntimeError):
        return np.array(_flatten(_loads(text)), dtype=np.float64)


def _parse_integers(text: bytes, dtype: np.dtype) -> np.ndarray:
    try:
        values = np.frombuffer(_flat_buffer(text, "i"), dtype=np.int64)
    except (ValueError, TypeError, AttributeError, RuntimeError):
        doubles = np.array(_flatten(_loads(text)), dtype=np.float64)
        if not np.all(doubles == np.trunc(doubles)) or np.any(np.abs(doubles) > 2.0**53):
            raise ValueError("it holds numbers that are not integers") from None
        values = doubles.astype(np.int64)
    limits = np.iinfo(dtype)
    if values.size and (values.min() < limits.min or values.max() > limits.max):
        raise ValueError(f"it holds integers too large for {dtype}")
    return values.astype(dtype)


def _loads(text: bytes) -> object:
    try:
        return orjson.loads(text)
    except ValueError:
        try:
            return json.loads(text.decode())  # NaN and Infinity, which are not JSON, and huge integers
        except (RecursionError, OverflowError) as error:
            raise ValueError(f"it cannot be parsed ({error})") from None


def _flatten(value: object) -> list[float]:
    """Numbers of nested lists in order, null as NaN; iterative, so that no depth overflows the stack."""
    if not isinstance(value, list):
        raise ValueError("it is not an array")
    level: list[object] = value
    for _ in range(_DEEPEST):
        if not any(isinstance(item, list) for item in level):
            return [_number(item) for item in level]
        level = [inner for item in level for inner in (item if isinstance(item, list) else [item])]
    raise ValueError("it is nested too deeply")


def _number(item: object) -> float:
    if item is None:
        return float("nan")
    if isinstance(item, bool) or not isinstance(item, int | float):
        raise ValueError("it holds something other than numbers")
    try:
        return float(item)
    except OverflowError:
        return float("inf") if item > 0 else float("-inf")


def _to_float32(values: np.ndarray, text: bytes) -> np.ndarray:
    """Doubles to the float32 nearest to their decimal text.

    Rounding a decimal to double and then to float32 can differ from rounding it once, but only where the double
    lies exactly between two float32 values (7.038531e-26 is one): those are decided by their text.
    """
    singles = _narrow(values, np.dtype(np.float32))
    bits = values.view(np.uint64)
    suspects = np.flatnonzero((bits & np.uint64(0x1FFFFFFF)) == np.uint64(0x10000000))
    tiny = np.flatnonzero((np.abs(values) < 2.0**-126) & (values != 0))
    if not suspects.size and not tiny.size:
        return singles
    scaled = np.abs(values[tiny]) * 2.0**150
    between = tiny[(scaled == np.floor(scaled)) & (scaled % 2 == 1)]
    for place in sorted({*suspects.tolist(), *between.tolist()}):
        if np.isfinite(values[place]) and np.isfinite(singles[place]):
            singles[place] = _nearest_float32(float(values[place]), singles[place], _nth_number(text, place))
    return singles


def _nth_number(text: bytes, place: int) -> str:
    commas = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord(","))
    start = int(commas[place - 1]) + 1 if place else 0
    end = int(commas[place]) if place < commas.size else len(text)
    return text[start:end].strip(b"[] \t\r\n").decode()


def _nearest_float32(double: float, single: np.float32, decimal: str) -> np.float32:
    """The float32 nearest to `decimal`, given the tie `double` and one of its two neighbours."""
    exact, tie = Fraction(Decimal(decimal)), Fraction(double)
    if exact == tie:
        return single
    above = single if float(single) > double else np.nextafter(single, np.float32(np.inf))
    below = single if float(single) < double else np.nextafter(single, np.float32(-np.inf))
    return above if exact > tie else below


def shaped(flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Reshape, or ValueError that says what did not match."""
    if flat.size != prod(shape):
        raise ValueError(f"it holds {flat.size} numbers where its shape {list(shape)} needs {prod(shape)}")
    return flat.reshape(shape)
