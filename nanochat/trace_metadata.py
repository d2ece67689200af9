"""A caller's metadata as plain JSON values, each of them exactly what every reader will find."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from nanochat.errors import SettingInvalidError

DIGITS = 1000  # of a whole number; Python itself reads and writes no more than 4,300
LARGEST_WHOLE = 10**DIGITS
DEPTH = 64  # mappings and lists within each other; a message of the daemon's adds some, and may have 100
LARGEST_BYTES = 2 << 20  # as JSON: an answer of the daemon's has metadata twice


def exact_metadata(metadata: Any) -> dict[str, Any]:
    """The metadata as plain values: tuples and arrays as lists, numpy's numbers as Python's.

    Raises SettingInvalidError for what JSON cannot hold or would hold as something else.
    """
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise SettingInvalidError(f"metadata must be names with values, not {metadata!r:.80}.")
    return _mapping(metadata, "metadata", 1)


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


def _plain(value: Any, place: str, depth: int) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, place)
    if isinstance(value, int):
        if not -LARGEST_WHOLE < value < LARGEST_WHOLE:
            raise _refused(place, f"is a whole number of more than {DIGITS:,} digits: give it as text")
        return int(value)
    if isinstance(value, float):
        if not np.isfinite(value):
            raise _refused(place, f"is {value}, which JSON does not have: give null, or a text")
        return float(value)
    if isinstance(value, Mapping | list | tuple):
        if depth >= DEPTH:
            raise _refused(place, f"is nested more than {DEPTH} deep: flatten it")
        if isinstance(value, Mapping):
            return _mapping(value, place, depth + 1)
        return [_plain(item, f"{place}[{index}]", depth + 1) for index, item in enumerate(value)]
    raise _refused(place, f"is of the type {type(value).__name__}: use texts, numbers, lists and mappings")


def _mapping(value: Mapping[Any, Any], place: str, depth: int) -> dict[str, Any]:
    for key in value:
        if not isinstance(key, str):
            raise _refused(place, f"has the key {key!r:.80}, and JSON's keys are texts: use {str(key)!r:.80}")
    return {_text(key, place): _plain(item, f"{place}.{key!s:.80}", depth) for key, item in value.items()}


def _text(value: str, place: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _refused(place, f"has half a character at {error.start}: it is not valid Unicode") from error
    return str.__str__(value)


def _refused(place: str, problem: str) -> SettingInvalidError:
    shown = place if len(place) <= 200 else f"{place[:100]}…{place[-99:]}"
    return SettingInvalidError(f"{shown.encode(errors='replace').decode()} {problem}.")
