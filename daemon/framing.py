"""Where one message ends and the next begins, on both doors, and JSON to and from bytes. No input or output."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, Protocol

import msgspec

from protocol.errors import RpcError

MIB = 1 << 20
BODY_LIMIT = 16 * MIB  # bytes of one incoming message
HEADER_LIMIT = 4096  # bytes of one header block
ABSURD_LENGTH = 1024 * MIB  # a body announced as longer than this is not waited for
NESTING_LIMIT = 100  # arrays and objects within each other
BRACKETS_LIMIT = 100_000  # arrays and objects in one incoming message: Python makes them in a tenth of a second
VALUES_LIMIT = 500_000  # of any kind
EDGE = 4096  # bytes at both ends of such a message that are kept
SLICE = 1 << 17  # bytes that are looked at between two turns of the event loop

_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
# No run of blanks is read twice: with `(.*?)[ \t]*` the time would grow with the square of their number.
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]++):[ \t]*+((?:[^\x00\r \t]++|[ \t]++(?=[^\x00\r \t]))*+)[ \t]*+")
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


class FramingError(RpcError):
    """Bytes that are no message: answered with id null.

    Args:
        fatal: nothing after them can be trusted, so the connection ends.
        edges: the first and last bytes of the message, where they are known.
    """

    def __init__(self, name: str, message: str, fatal: bool = False, edges: bytes = b""):
        super().__init__(name, message)
        self.fatal, self.edges = fatal, edges


class Frames(Protocol):
    """A parser: bytes go in through `feed`, messages come out of `next`."""

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        ...

    def end(self) -> None:
        """Nothing more will arrive."""
        ...

    def next(self) -> bytes | FramingError | None:
        """The next body or error; None until more has arrived."""
        ...


class LineFrames:
    """One JSON value a line; blank lines count for nothing."""

    def __init__(self, limit: int = BODY_LIMIT):
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0  # bytes known to hold no line end
        self._skipping = False  # within a line that was too long

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        self._buffer += data

    def end(self) -> None:
        """Nothing more will arrive: what is left is the last line."""
        self._buffer += b"\n"

    def next(self) -> bytes | FramingError | None:
        """The next line that is not blank, or an error; None until more has arrived."""
        while (end := self._buffer.find(b"\n", self._searched)) >= 0:
            line = _take(self._buffer, end + 1)
            skipped, self._skipping, self._searched = self._skipping, False, 0
            if len(line.removesuffix(b"\n").removesuffix(b"\r")) > self._limit and not skipped:
                return self._too_long()
            if not skipped and line.strip(b" \t\r\n"):
                return line
        if self._skipping or len(self._buffer) > self._limit + 1:
            error = None if self._skipping else self._too_long()
            self._skipping, self._searched = True, 0
            self._buffer.clear()
            return error
        self._searched = len(self._buffer)
        return None

    def _too_long(self) -> FramingError:
        return FramingError("TOO_LARGE", f"A line may have {self._limit:,} bytes; this one has more, and was skipped.")


class EditorFrames:
    """A header block with Content-Length, then as many bytes of JSON, as the Language Server Protocol has it."""

    def __init__(self, limit: int = BODY_LIMIT):
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0
        self._header_size = 0  # of the block's lines read so far
        self._announced: int | None = None  # by a Content-Length in the block that is being read
        self._length: int | None = None  # of the body that is being read
        self._skip = 0  # bytes of a body that is too large
        self._broken = False

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        if not self._broken:
            self._buffer += data

    def end(self) -> None:
        """Nothing more will arrive: half a message is none."""

    def next(self) -> bytes | FramingError | None:
        """The next body or error; None until more has arrived, and for ever after a fatal error."""
        if self._skip:
            self._skip -= len(_take(self._buffer, min(self._skip, len(self._buffer))))
        if self._broken or self._skip:
            return None
        if self._length is None:
            try:
                self._length = self._read_header()
            except FramingError as error:
                self._broken = error.fatal
                return error
        if self._length is None or len(self._buffer) < self._length:
            return None
        body, self._length = _take(self._buffer, self._length), None
        return body

    def _read_header(self) -> int | None:
        """The body's length, once its header block is whole."""
        while (end := self._buffer.find(b"\n", self._searched, HEADER_LIMIT - self._header_size)) >= 0:
            line = _take(self._buffer, end + 1)
            self._header_size += len(line)
            self._searched = 0
            line = line.removesuffix(b"\n").removesuffix(b"\r")
            if not line:
                return self._block_ended()
            self._read_field(line)
        self._searched = len(self._buffer)
        if self._header_size + len(self._buffer) >= HEADER_LIMIT:
            raise _malformed(f"A header block may have {HEADER_LIMIT} bytes, and this one has no end by then.")
        return None

    def _read_field(self, line: bytes) -> None:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise _malformed("A header line must be `Name: value`.")
        if field[1].lower() != b"content-length":
            return
        if not field[2].isdigit():
            raise _malformed("Content-Length must be a number of bytes, in digits.")
        length = int(field[2].lstrip(b"0")[:20] or b"0")  # whatever has more digits is absurd all the same
        if self._announced not in (None, length):
            raise _malformed("Content-Length is there twice, with different values.")
        self._announced = length

    def _block_ended(self) -> int | None:
        length, self._announced, self._header_size = self._announced, None, 0
        if length is None:
            raise _malformed("A header block must have a Content-Length.")
        if length > self._limit:
            self._skip = length
            message = f"A message may have {self._limit:,} bytes; this one has {length:,}"
            if length > ABSURD_LENGTH:
                raise FramingError("TOO_LARGE", message + ", and is not waited for: connect again.", fatal=True)
            raise FramingError("TOO_LARGE", message + ", and was skipped.")
        return length


def _malformed(message: str) -> FramingError:
    return FramingError("PARSE_ERROR", message + " The connection ends here: connect again.", fatal=True)


def _take(buffer: bytearray, size: int) -> bytes:
    """Cut the first `size` bytes off."""
    taken = bytes(memoryview(buffer)[:size])
    del buffer[:size]
    return taken


class Checked(bytes):
    """A body that `look_at` found nothing wrong with."""


def look_at(body: bytes) -> Iterator[None]:
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
    if brackets > NESTING_LIMIT or commas > VALUES_LIMIT:
        yield from _look_outside_strings(body)


def _look_outside_strings(body: bytes) -> Iterator[None]:
    inside, escape, depth, brackets, values = False, b"", 0, 0, 0
    for start in range(0, len(body), SLICE):
        piece = (escape + body[start : start + SLICE]).replace(b"\\\\", b"")
        escape = b"\\" if piece.endswith(b"\\") else b""
        parts = piece.removesuffix(b"\\").replace(b'\\"', b"").split(b'"')
        outside = b"".join(parts[inside::2])
        inside ^= len(parts) % 2 == 0
        steps = outside.translate(None, _NOT_BRACKETS)
        depths = list(accumulate(map(_STEP.__getitem__, steps), initial=depth))
        if max(depths) > NESTING_LIMIT:
            raise FramingError("PARSE_ERROR", f"Arrays and objects may be nested {NESTING_LIMIT} deep, not deeper.")
        values += outside.count(b",")
        brackets += steps.count(b"[") + steps.count(b"{")
        if brackets > BRACKETS_LIMIT or values > VALUES_LIMIT:
            message = f"A message may hold {BRACKETS_LIMIT:,} arrays and objects and {VALUES_LIMIT:,} values"
            message += "; this one holds more: send less at a time."
            raise FramingError("TOO_LARGE", message, edges=body[:EDGE] + body[-EDGE:])
        depth = depths[-1]
        yield


def decode(body: bytes) -> Any:
    """JSON as plain values.

    Raises:
        FramingError: PARSE_ERROR, where it is not JSON, not UTF-8, or nested too deeply; TOO_LARGE, too many values.
    """
    if not isinstance(body, Checked):
        for _ in look_at(body):
            pass
    collecting = gc.isenabled()
    gc.disable()  # it would look through all that was made so far, again and again: ten times as long
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FramingError("PARSE_ERROR", f"This is not JSON: {error}.") from error
    finally:
        if collecting:
            gc.enable()


def encode(value: object) -> bytes:
    """JSON of plain values and structs; NaN and infinity become null. Raises TypeError and ValueError on others."""
    return _encoder.encode(value)


def editor_frame(body: bytes) -> bytes:
    """A body behind its header block."""
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def line_frame(body: bytes) -> bytes:
    """A body as a line."""
    return body + b"\n"
