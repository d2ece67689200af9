"""A client's JSON as plain values: fast where every value can be kept as it is, with care where one cannot."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import msgspec

from daemon.garbage import no_garbage_collection
from daemon.wire.framing import FramingError
from nanochat.traces.json.writer import without_surrogates

NESTING_LIMIT = 100  # arrays and objects within each other
BRACKETS_LIMIT = 100_000  # arrays and objects in one incoming message: Python makes them in a tenth of a second
KEYS_LIMIT = 100_000  # of objects: half a million that are all different would take a third of a second
VALUES_LIMIT = 500_000  # of any kind
SLICE = 1 << 17  # bytes that are looked at between two turns of the event loop
DIGITS_LIMIT = 4300  # of a whole number: Python reads no more
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_decoder = msgspec.json.Decoder()


def decode(body: bytes) -> tuple[Any, bool]:
    """JSON as plain values, and whether all of them are as they were sent.

    Where they are not, `inexact_in` names one: half a character, which is kept, or a number that is none of Python's,
    which has become infinite, or NaN. A byte order mark in front is ignored.

    Raises:
        FramingError: PARSE_ERROR, where it is not JSON, not UTF-8, or nested too deeply; TOO_LARGE, too many values.
            Its `id` is the request's where that can be read all the same.
    """
    if not isinstance(body, Checked):
        for _ in check_slices(body):
            pass
    body = body.removeprefix(BYTE_ORDER_MARK)
    with no_garbage_collection():  # it would look through all that was made so far, again and again: ten times as long
        try:
            return _decoder.decode(body), True
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _decoded_with_care(body, error), False


def _decoded_with_care(body: bytes, error: Exception) -> Any:
    try:
        text = body.decode()
    except UnicodeDecodeError as fault:
        refused = _no_json(f"it is not UTF-8 at byte {fault.start}", body)
        with contextlib.suppress(ValueError, RecursionError):
            refused.id = _request_id(json.loads(body.decode(errors="replace"), parse_int=_whole))
        raise refused from fault
    try:
        return json.loads(text, parse_int=_whole, parse_constant=float)
    except (ValueError, RecursionError):
        hint = "it looks like UTF-16: send UTF-8" if "\0" in text[:4] else str(error)[:300]
        raise _no_json(hint, body) from error


def _request_id(value: object) -> int | str | None:
    found = value.get("id") if isinstance(value, dict) and "method" in value else None
    return found if isinstance(found, int | str) and not isinstance(found, bool) else None


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= DIGITS_LIMIT else math.inf


def _no_json(problem: str, body: bytes) -> FramingError:
    return FramingError("PARSE_ERROR", f"This is not JSON: {problem}.", head=body)


class Checked(bytes):
    """A body that `check_slices` found nothing wrong with."""


def check_slices(body: bytes) -> Iterator[None]:
    """Look, a slice at a time, whether a body can be decoded in bounded time and memory.

    Right for JSON, and never too lenient with the part before an error in it.

    Raises:
        FramingError: PARSE_ERROR for what is nested too deeply, TOO_LARGE for too many values.
    """
    brackets = commas = 0
    for start in range(0, len(body), 8 * SLICE):
        place = start, start + 8 * SLICE
        brackets += body.count(b"[", *place) + body.count(b"{", *place)
        commas += body.count(b",", *place)
        yield
    if brackets > NESTING_LIMIT or commas + brackets > KEYS_LIMIT:  # a key stands behind one of them
        yield from _look_outside_strings(body)


def _look_outside_strings(body: bytes) -> Iterator[None]:
    inside, escape, depth, brackets, keys, values = False, b"", 0, 0, 0, 0
    for start in range(0, len(body), SLICE):
        piece = (escape + body[start : start + SLICE]).replace(b"\\\\", b"")
        escape = b"\\" if piece.endswith(b"\\") else b""
        parts = piece.removesuffix(b"\\").replace(b'\\"', b"").split(b'"')
        outside = b"".join(parts[inside::2])
        inside ^= len(parts) % 2 == 0
        steps = outside.translate(None, _NOT_BRACKETS)
        depths = list(accumulate(map(_STEP.__getitem__, steps), initial=depth))
        if max(depths) > NESTING_LIMIT:
            problem = f"Arrays and objects may be nested {NESTING_LIMIT} deep, not deeper."
            raise FramingError("PARSE_ERROR", problem, head=body)
        values += outside.count(b",")
        keys += outside.count(b":")
        brackets += steps.count(b"[") + steps.count(b"{")
        if brackets > BRACKETS_LIMIT or keys > KEYS_LIMIT or values > VALUES_LIMIT:
            problem = f"A message may hold {BRACKETS_LIMIT:,} arrays and objects, {KEYS_LIMIT:,} keys and"
            problem += f" {VALUES_LIMIT:,} values; this one holds more: send less at a time."
            raise FramingError("TOO_LARGE", problem, head=body)
        depth = depths[-1]
        yield


def inexact_in(value: object, path: str = "$") -> str | None:
    """What of a decoded message is not as it was sent, as a sentence with its place; None where all is."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"The number at `{path}` is NaN, infinite or beyond what is kept: send it as text."
    if isinstance(value, str) and not is_whole_text(value):
        return f"The text at `{path}` has half a character (a lone surrogate), which no Unicode text has."
    if isinstance(value, list | tuple):
        return next(filter(None, (inexact_in(item, f"{path}[{index}]") for index, item in enumerate(value))), None)
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                return f"The object at `{path}` has the key {key!r:.80}, and JSON's keys are texts: use one."
            found = inexact_in(item, f"{path}.{key}") if is_whole_text(key) else inexact_in(key, f"{path}.<a key>")
            if found is not None:
                return found
    return None


def is_whole_text(text: str) -> bool:
    """Whether UTF-8 can hold it: no character is half."""
    return text.isascii() or _encodes(text)


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def exact(value: Any) -> Any:
    """The same with what is not as it was sent replaced: halves by U+FFFD, numbers that are none by null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, list):
        return [exact(item) for item in value]
    if isinstance(value, dict):
        return {whole_text(key): exact(item) for key, item in value.items()}
    return value


def whole_text(text: str) -> str:
    """Text that UTF-8 can hold, as long as before in UTF-16: U+FFFD for each half of a character."""
    return text if is_whole_text(text) else without_surrogates(text)
