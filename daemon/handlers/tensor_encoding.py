"""An array as JSON text: nested lists, or base64 of its bytes."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from math import prod

import msgspec
import numpy as np

from nanochat.errors import SettingInvalidError
from nanochat.traces.json.numbers import rows_as_json
from nanochat.traces.tensors import to_dtype
from protocol.errors import RpcError

LARGEST_JSON = 1 << 20  # values: about 12 MB of text
LARGEST_BASE64 = 16 << 20  # bytes before encoding; a message may have 24 MiB
VALUES_AT_ONCE = 1 << 18  # encoded with the interpreter locked
BYTES = {"float32": 4, "float16": 2, "uint8": 1}


@dataclass(frozen=True)
class Encoded:
    """An array's JSON text, its dtype, and for uint8 what 0 and 255 stand for."""

    data: msgspec.Raw
    dtype: str
    minimum: float | None = None
    maximum: float | None = None


def check_size(shape: tuple[int, ...], encoding: str, dtype: str) -> None:
    """Refuse what would not fit into one message. Raises RpcError TOO_LARGE."""
    values = prod(shape)
    largest = LARGEST_JSON if encoding == "json" else LARGEST_BASE64 // BYTES[dtype]
    if values > largest:
        kind = "nested lists" if encoding == "json" else f"base64 of {dtype}"
        better = (
            'encoding "base64", ' if encoding == "json" else 'dtype "float16" or "uint8", ' if dtype != "uint8" else ""
        )
        raise RpcError(
            "TOO_LARGE",
            f"That part of the tensor has {values:,} values, {list(shape)}; one answer holds {largest:,} as {kind}. "
            f"Ask for less: {better}a head, or some rows and columns.",
            {"values": values, "limit": largest, "shape": list(shape)},
        )


def as_lists(array: np.ndarray) -> Encoded:
    """Nested lists, a number with the fewest digits that give it again, NaN and infinity as null."""
    return Encoded(msgspec.Raw(_nested(array)), array.dtype.name)


def _nested(array: np.ndarray) -> bytes:
    if array.ndim == 0 or array.size == 0:
        return msgspec.json.encode(array.tolist())
    if array.ndim > 2:
        return b"[" + b",".join(map(_nested, array)) + b"]"
    rows = array.reshape(-1, array.shape[-1])
    step = max(1, VALUES_AT_ONCE // rows.shape[1])
    pieces = [rows_as_json(rows[first : first + step])[1:-1] for first in range(0, len(rows), step)]
    text = b",".join(pieces)
    return b"[" + text + b"]" if array.ndim == 2 else text


def as_base64(array: np.ndarray, dtype: str, *, weights: bool) -> Encoded:
    """Base64 of little-endian float32 or float16, or of uint8: 0 to 1 for `weights`, else from the least value up.

    Raises:
        RpcError: INVALID_PARAMS: a value is too large for float16.
    """
    if dtype == "uint8":
        return _as_bytes(array, weights=weights)
    try:
        values = to_dtype("This tensor", array.astype(np.float32, copy=False), dtype)
    except SettingInvalidError as error:
        raise RpcError("INVALID_PARAMS", "This tensor has values too large for float16: ask for float32.") from error
    return Encoded(_base64(values), dtype)


def _as_bytes(array: np.ndarray, *, weights: bool) -> Encoded:
    """NaN and minus infinity become 0, infinity 255."""
    values = array.astype(np.float32, copy=False)
    finite = values[np.isfinite(values)]
    minimum, maximum = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if weights and minimum >= 0.0 and maximum <= 1.0:
        minimum, maximum = 0.0, 1.0
    scale = 255.0 / (maximum - minimum) if maximum > minimum else 0.0
    flat, scaled = values.reshape(-1), np.empty(values.size, np.uint8)
    for first in range(0, values.size, VALUES_AT_ONCE):
        block = slice(first, first + VALUES_AT_ONCE)
        limited = np.clip(np.nan_to_num(flat[block].astype(np.float64), nan=minimum), minimum, maximum)
        scaled[block] = np.rint((limited - minimum) * scale)
    return Encoded(_base64(scaled), "uint8", minimum, maximum)


def _base64(values: np.ndarray) -> msgspec.Raw:
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return msgspec.Raw(b'"' + base64.b64encode(np.ascontiguousarray(little).data) + b'"')
