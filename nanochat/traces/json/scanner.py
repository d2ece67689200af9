"""Walks JSON in a file, jumping over its number arrays; and parses small JSON texts."""

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from nanochat.errors import TraceUnreadableError
from nanochat.traces.json.writer import LARGEST_DOCUMENT, without_surrogates
from nanochat.traces.tensors import Span

SPACE = b" \t\r\n"
TAIL = 1024
WINDOW = 1 << 18
LONGEST_VALUE = LARGEST_DOCUMENT  # bytes of one string, or of the head of a trace

_MOST_VALUES = 2_000_000  # values outside number arrays
_DEEPEST = 100
_MOST_DIGITS = 4300  # Python reads no more
_decoder = msgspec.json.Decoder()
_TOKEN = re.compile(
    rb'[ \t\r\n]*([{}\[\],:]|"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[0-9.eE+-]*|true|false|null|NaN|-?Infinity)', re.DOTALL
)
_OPENING = re.compile(rb"[\[ \t\r\n]*")
_SPACES = re.compile(rb"[ \t\r\n]*")
_NUMERIC_START = frozenset(b"-0123456789NIntf")


def loads(text: bytes) -> Any:
    """Any JSON text, NaN included, whole numbers exactly; ValueError if it is not. Lone surrogates become U+FFFD.

    (orjson, which is a little faster, reads whole numbers beyond 64 bits as doubles, and none beyond a double.)
    """
    try:
        return _decoder.decode(text)
    except (ValueError, RecursionError):
        try:
            return replaced_surrogates(json.loads(text.decode(), parse_int=_whole))
        except RecursionError:
            raise ValueError("nested too deeply") from None


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a whole number of more than {_MOST_DIGITS:,} digits")
    return int(digits)


def replaced_surrogates(value: Any) -> Any:
    """A JSON value with U+FFFD for each lone surrogate in it."""
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, list):
        return [replaced_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {replaced_surrogates(key): replaced_surrogates(item) for key, item in value.items()}
    return value


class JsonScanner:
    """Walks JSON through a window over the file; arrays of numbers are jumped over.

    Values come out as Python values, except that an array without objects in it comes out as its Span.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        self.descriptor = descriptor
        self.size = size
        self.base = 0
        self.window = b""
        self.position = 0
        self.values = 0

    def fail(self, position: int, problem: str) -> TraceUnreadableError:
        if position >= self.size:
            problem = "The file ends in the middle"
        return TraceUnreadableError(f"{problem} at byte {position} of {self.size}; it was cut short or is not a trace.")

    def load(self, position: int, length: int) -> None:
        self.base = position
        self.window = os.pread(self.descriptor, length, position)

    def match(self, pattern: re.Pattern[bytes], position: int) -> re.Match[bytes] | None:
        """Match at a position of the file, in a window large enough that its end does not cut the match."""
        length = WINDOW
        if not self.base <= position < self.base + len(self.window):
            self.load(position, length)
        while True:
            found = pattern.match(self.window, position - self.base)
            window_end = self.base + len(self.window)
            if window_end >= self.size or (found and found.end() < len(self.window)):
                return found
            if self.base == position and found is None and not self._may_be_cut(position):
                return None
            if length > LONGEST_VALUE:
                raise TraceUnreadableError(f"The value at byte {position} is too large to be part of a trace.")
            length = length if self.base != position else length * 8
            self.load(position, length)

    def _may_be_cut(self, position: int) -> bool:
        """Whether what failed to match could be a string that is longer than the window, or lots of space."""
        text = self.window[position - self.base :].lstrip(SPACE)
        return not text or text.startswith(b'"')

    def token(self, position: int) -> tuple[bytes, int, int]:
        """The token at or after a position: its text, start and end."""
        found = self.match(_TOKEN, position)
        if found is None:
            spaces = self.match(_SPACES, position)
            raise self.fail(spaces.end() + self.base if spaces else position, "Something that is not JSON")
        self.values += 1
        if self.values > _MOST_VALUES:
            raise TraceUnreadableError("Too many values outside its tensors; it is not a trace.")
        return found[1], found.start(1) + self.base, found.end(1) + self.base

    def expect(self, wanted: bytes, position: int) -> int:
        token, start, end = self.token(position)
        if token != wanted:
            raise self.fail(start, f"No {wanted.decode()!r}")
        return end

    def expect_end(self) -> None:
        found = self.match(_SPACES, self.position)
        end = found.end() + self.base if found else self.position
        if end < self.size:
            raise self.fail(end, "Something after the end of the document")

    def expect_end_or_more(self, position: int) -> None:
        """The outermost object goes on, or ends with the file."""
        token, _, self.position = self.token(position)
        if token == b"}":
            self.expect_end()

    def members(self, position: int, depth: int) -> Iterator[tuple[str, Any, Span]]:
        """Keys, values and their places of an object, from after its brace or a comma; leaves `position` behind it."""
        token, start, end = self.token(position)
        while token != b"}":
            if not token.startswith(b'"'):
                raise self.fail(start, "No key")
            key = _scalar(token, start)
            value, span = self.value(self.expect(b":", end), depth, in_object=True)
            yield key, value, span
            token, start, end = self.token(span.end)
            if token == b",":
                token, start, end = self.token(end)
                if token == b"}":
                    raise self.fail(start, "No key")
            elif token != b"}":
                raise self.fail(start, "No ',' or '}'")
        self.position = end

    def value(self, position: int, depth: int, *, in_object: bool = False) -> tuple[Any, Span]:
        token, start, end = self.token(position)
        if depth > _DEEPEST:
            raise TraceUnreadableError(f"Nested more than {_DEEPEST} deep at byte {start}; it is not a trace.")
        if token == b"{":
            members = {key: value for key, value, _ in self.members(end, depth + 1)}
            return members, Span(start, self.position)
        if token == b"[":
            if in_object and (jumped := self.jump(start)):
                return jumped, jumped
            return self.array(start, end, depth + 1)
        if token in (b"}", b"]", b",", b":"):
            raise self.fail(start, "No value")
        return _scalar(token, start), Span(start, end)

    def array(self, start: int, position: int, depth: int) -> tuple[Any, Span]:
        """An array walked value by value."""
        values: list[Any] = []
        token, _, end = self.token(position)
        while token != b"]":
            value, span = self.value(position, depth)
            values.append(value)
            token, place, end = self.token(span.end)
            position = end
            if token not in (b",", b"]"):
                raise self.fail(place, "No ',' or ']'")
        span = Span(start, end)
        return (values if any(isinstance(value, dict | list) for value in values) else span), span

    def jump(self, start: int) -> Span | None:
        """The span of an array of numbers that is the value of a key; None if it may be something else.

        Its first value is a number, and the next quote or closing brace of the file follows it: between them
        there is nothing but numbers and brackets. Its brackets are balanced, and as many end it as begin it.
        """
        opening = self.match(_OPENING, start)
        if opening is None or opening.end() >= len(self.window) or self.window[opening.end()] not in _NUMERIC_START:
            return None
        opened = opening[0].count(b"[")
        stop, open_brackets = self.next_quote_or_brace(self.base + opening.end())
        if open_brackets + opened:
            return None
        first = max(start, stop - TAIL)
        tail = os.pread(self.descriptor, stop - first, first).rstrip(SPACE)
        tail = tail.removesuffix(b",").rstrip(SPACE)
        closing = tail.translate(None, SPACE)
        if len(closing) - len(closing.rstrip(b"]")) != opened:
            return None
        return Span(start, first + len(tail))

    def next_quote_or_brace(self, position: int) -> tuple[int, int]:
        """Where the next one is, and how many more brackets open than close before it."""
        open_brackets = 0
        while position < self.size:
            if not self.base <= position < self.base + len(self.window):
                self.load(position, WINDOW)
            start = position - self.base
            quote = self.window.find(b'"', start)
            brace = self.window.find(b"}", start, quote if quote >= 0 else len(self.window))
            end = brace if brace >= 0 else quote
            inside = (start, end if end >= 0 else len(self.window))
            open_brackets += self.window.count(b"[", *inside) - self.window.count(b"]", *inside)
            if end >= 0:
                return self.base + end, open_brackets
            position = self.base + len(self.window)
            if not self.window:
                break
        raise self.fail(self.size, "The file ends")


def _scalar(token: bytes, start: int) -> Any:
    try:
        return loads(token)
    except ValueError as error:
        raise TraceUnreadableError(f"The value at byte {start} is not JSON ({error}).") from None
