"""A caller's metadata as plain JSON values, each of them exactly what every reader will find."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from nanochat.errors import SettingInvalidError
from nanochat.system.text import shortened

DIGITS = 1000  # of a whole number; Python itself reads and writes no more than 4,300
LARGEST_WHOLE = 10**DIGITS
DEPTH = 64  # mappings and lists within each other; a message of the daemon's adds some, and may have 100
SHOWN_PLACE = 200  # characters
LARGEST_BYTES = 2 << 20  # as JSON: an answer of the daemon's has metadata twice


def exact_metadata(metadata: Any) -> dict[str, Any]:
    """The metadata as plain values: tuples and arrays as lists, numpy's numbers as Python's.

    Raises SettingInvalidError for what JSON cannot hold or would hold as something else.
    """
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise SettingInvalidError(f"metadata must be names with values, not {metadata!r:.80}.")
    try:
        return _mapping(metadata, 1)
    except _RefusedError as error:
        raise SettingInvalidError(error.sentence()) from error


def checked_metadata(metadata: Any) -> dict[str, Any]:
    """The same, of what a caller gives; SettingInvalidError for too much of it as well."""
    plain = exact_metadata(metadata)
    size = len(msgspec.json.encode(plain))
    if size > LARGEST_BYTES:
        raise SettingInvalidError(
            f"metadata has {size:,} bytes as JSON and may have {LARGEST_BYTES:,}: keep more in a file of your own, "
            "and its name here."
        )
    return plain


class _RefusedError(Exception):
    """A value that JSON cannot hold, and, from the inside outwards, where it is."""

    def __init__(self, problem: str):
        super().__init__(problem)
        self.problem = problem
        self.places: list[str] = []

    def sentence(self) -> str:
        place = "metadata" + "".join(reversed(self.places))
        return f"{shortened(place, SHOWN_PLACE).encode(errors='replace').decode()} {self.problem}."


def _plain(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict | list):
        return _nested(value, depth)
    if isinstance(value, int):
        if not -LARGEST_WHOLE < value < LARGEST_WHOLE:
            raise _RefusedError(f"is a whole number of more than {DIGITS:,} digits: give it as text")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _RefusedError(f"is {value}, which JSON does not have: give null, or a text")
        return float(value)
    if isinstance(value, np.ndarray | np.generic) and not isinstance(value.tolist(), np.generic):
        return _plain(value.tolist(), depth)
    if not isinstance(value, Mapping | tuple):
        raise _RefusedError(f"is of the type {type(value).__name__}: use texts, numbers, lists and mappings")
    return _nested(value, depth)


def _nested(value: Any, depth: int) -> Any:
    if depth >= DEPTH:
        raise _RefusedError(f"is nested more than {DEPTH} deep: flatten it")
    return _mapping(value, depth + 1) if isinstance(value, dict | Mapping) else _list(value, depth + 1)


def _list(values: Sequence[Any], depth: int) -> list[Any]:
    plain: list[Any] = []
    try:
        for value in values:
            plain.append(_plain(value, depth))
    except _RefusedError as error:
        error.places.append(f"[{len(plain)}]")
        raise
    return plain


def _mapping(values: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, value in values.items():
        if not isinstance(key, str):
            raise _RefusedError(f"has the key {key!r:.80}, and JSON's keys are texts: use {str(key)!r:.80}")
        key = _text(key)
        try:
            plain[key] = _plain(value, depth)
        except _RefusedError as error:
            error.places.append(f".{key[:SHOWN_PLACE]}")
            raise
    return plain


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _RefusedError(f"has half a character at {error.start}: it is not valid Unicode") from error
    return str.__str__(value)
