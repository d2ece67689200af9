"""Where one message ends and the next begins, on both doors, and JSON to and from bytes. No input or output."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Any, Protocol

import msgspec

from nanochat.json_scanner import replaced_surrogates
from protocol.errors import RpcError

MIB = 1 << 20
BODY_LIMIT = 16 * MIB  # bytes of one incoming message
HEADER_LIMIT = 4096  # bytes of one header block
ABSURD_LENGTH = 1024 * MIB  # a body announced as longer than this is not waited for
NESTING_LIMIT = 100  # arrays and objects within each other

_STRING = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)  # never backtracks, whatever it is given
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00\r]*?)[ \t]*")
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


class FramingError(RpcError):
    """Bytes that are no message: answered with id null.

    Args:
        fatal: nothing after them can be trusted, so the connection ends.
    """

    def __init__(self, name: str, message: str, fatal: bool = False):
        super().__init__(name, message)
        self.fatal = fatal


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


def decode(body: bytes) -> Any:
    """JSON as plain values.

    Raises:
        FramingError: PARSE_ERROR, where it is not JSON, not UTF-8, or nested too deeply.
    """
    try:
        if body.count(b"[") + body.count(b"{") > NESTING_LIMIT and _nesting(body) > NESTING_LIMIT:
            raise FramingError("PARSE_ERROR", f"Arrays and objects may be nested {NESTING_LIMIT} deep, not deeper.")
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FramingError("PARSE_ERROR", f"This is not JSON: {error}.") from error


def _nesting(body: bytes) -> int:
    """How deep the brackets go; right for JSON, and never too low for the part before an error in it."""
    brackets = _STRING.sub(b"", body).translate(None, _NOT_BRACKETS)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0)


def encode(value: object) -> bytes:
    """JSON of plain values and structs; NaN and infinity become null. Raises TypeError and ValueError on others."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:  # the name of a file that is no UTF-8
        return _encoder.encode(replaced_surrogates(msgspec.to_builtins(value)))


def editor_frame(body: bytes) -> bytes:
    """A body behind its header block."""
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def line_frame(body: bytes) -> bytes:
    """A body as a line."""
    return body + b"\n"
