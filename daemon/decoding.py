"""A client's JSON as plain values: fast where every value can be kept as it is, with care where one cannot."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import msgspec

from daemon.framing import FramingError

NESTING_LIMIT = 100  # arrays and objects within each other
VALUES_LIMIT = 200_000  # commas outside strings: as many small values as are read in a twentieth of a second
DIGITS_LIMIT = 4300  # of a whole number: Python reads no more
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

QUOTE, COMMA = b'",'
_KEPT = b'[]{},"'
_NOT_KEPT = bytes(set(range(256)) - set(_KEPT))
_decoder = msgspec.json.Decoder()


def decode(body: bytes) -> tuple[Any, bool]:
    """JSON as plain values, and whether all of them are as they were sent.

    Where they are not, `inexact_in` names one: half a character, which is kept, or a number that is none of Python's,
    which has become infinite, or NaN. A byte order mark in front is ignored.

    Raises:
        FramingError: PARSE_ERROR, where it is not JSON, not UTF-8, nested too deeply, or of too many values; its `id`
            is the request's where that can be read all the same.
    """
    body = body.removeprefix(BYTE_ORDER_MARK)
    _check_structure(body)
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


def _check_structure(body: bytes) -> None:
    """Refuse what would take long, or run out of stack, without looking at one byte after another."""
    openings = body.count(b"[") + body.count(b"{")
    commas = body.count(b",")
    if openings <= NESTING_LIMIT and commas <= VALUES_LIMIT:
        return
    values, nesting = _structure(body)
    if values > VALUES_LIMIT:
        raise FramingError("PARSE_ERROR", f"A message may hold {VALUES_LIMIT:,} values, and this has more.", head=body)
    if nesting > NESTING_LIMIT:
        problem = f"Arrays and objects may be nested {NESTING_LIMIT} deep, not deeper."
        raise FramingError("PARSE_ERROR", problem, head=body)


def _structure(body: bytes) -> tuple[int, int]:
    """The commas outside strings, and how deep the brackets go; right for JSON, and for the part before an error."""
    import numpy as np

    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in body else body
    marks = np.frombuffer(unescaped.translate(None, _NOT_KEPT), np.uint8)
    outside = np.cumsum(marks == QUOTE, dtype=np.uint8) % 2 == 0  # of strings: so many quotes came before
    steps = np.zeros(256, np.int8)
    steps[list(b"[{")], steps[list(b"]}")] = 1, -1
    depths = np.cumsum(steps[marks] * outside, dtype=np.int32)
    return int(np.count_nonzero(outside & (marks == COMMA))), int(depths.max(initial=0))


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
    return text if is_whole_text(text) else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
