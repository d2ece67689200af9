"""Where one message ends and the next begins, on both kinds of connection, and JSON as bytes. No input or output."""

from __future__ import annotations

import contextlib
import re
from typing import Protocol

import msgspec

from nanochat.traces.json.scanner import replaced_surrogates
from protocol.errors import RpcError

MIB = 1 << 20
BODY_LIMIT = 16 * MIB  # bytes of one incoming message
HEADER_LIMIT = 4096  # bytes of one header block
ABSURD_LENGTH = 1024 * MIB  # a body announced as longer than this is not waited for
HEAD = 4096  # bytes of a message that is not taken, in which its id may be
UTF_8 = (b"utf-8", b"utf8")

# A short member of an object whose value is a text or a whole number, and what ends it.
_MEMBER = re.compile(
    rb'[ \t\r\n]*+"(\w{1,40}+)"[ \t\r\n]*+:[ \t\r\n]*+("(?:[^"\\]|\\.){0,1000}+"|-?\d{1,20}+)[ \t\r\n]*+[,}]', re.DOTALL
)
_OF_REQUESTS = re.compile(rb'[ \t\r\n]*+"(?:method|params)"')  # and not of responses
# No run of blanks is read over and over: with `(.*?)[ \t]*` the time would grow with the square of their number. The
# loop over words is not possessive: Python 3.11 before 3.11.5 does not go back within one that is, where a part fails.
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]++):[ \t]*+((?:[^\x00\r \t]++(?:[ \t]++[^\x00\r \t]++)*)?)[ \t]*+")
_encoder = msgspec.json.Encoder()


class FramingError(RpcError):
    """Bytes that are no message; `id` is the request's that they were meant to be, None where it cannot be read.

    Args:
        fatal: nothing after them can be trusted, so the connection ends.
        head: how they begin, as far as it is known; of what is longer, the end is kept too, as `tail`.
    """

    def __init__(self, name: str, message: str, fatal: bool = False, head: bytes = b""):
        super().__init__(name, message)
        self.fatal, self.head, self.tail = fatal, head[:HEAD], head[HEAD:][-HEAD:]
        self.id = request_id(self.head)


def request_id(head: bytes) -> int | str | None:
    """The id of a request that is not JSON as a whole, from its first members; None for anything else."""
    members: dict[str, int | str] = {}
    place = 1 + head.find(b"{") if head.lstrip(b" \t\r\n\xef\xbb\xbf").startswith(b"{") else 0
    while place and (member := _MEMBER.match(head, place)) is not None:
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            members[member[1].decode()] = msgspec.json.decode(member[2], type=int | str)
        place = member.end()
    is_request = isinstance(members.get("method"), str) or _OF_REQUESTS.match(head, place)
    return members.get("id") if is_request else None


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
                return self._too_long(line)
            if not skipped and line.strip(b" \t\r\n"):
                return line
        if self._skipping or len(self._buffer) > self._limit + 1:
            error = None if self._skipping else self._too_long(bytes(self._buffer[:HEAD]))
            self._skipping, self._searched = True, 0
            self._buffer.clear()
            return error
        self._searched = len(self._buffer)
        return None

    def _too_long(self, line: bytes) -> FramingError:
        message = f"A line may have {self._limit:,} bytes; this one has more, and was skipped."
        return FramingError("TOO_LARGE", message, head=line)


class EditorFrames:
    """A header block with Content-Length, then as many bytes of JSON, as the Language Server Protocol has it."""

    def __init__(self, limit: int = BODY_LIMIT):
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0
        self._header_size = 0  # of the block's lines read so far
        self._announced: int | None = None  # by a Content-Length in the block that is being read
        self._length: int | None = None  # of the body that is being read
        self._charset = UTF_8[0]  # as a Content-Type has it
        self._skip = 0  # bytes of a body that is not taken
        self._refused: tuple[str, str] | None = None  # why it is not; said when its head is there
        self._broken = False

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        if not self._broken:
            self._buffer += data

    def end(self) -> None:
        """Nothing more will arrive: half a message is none."""

    def next(self) -> bytes | FramingError | None:
        """The next body or error; None until more has arrived, and for ever after a fatal error."""
        if self._refused is not None:
            return self._refusal()
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
        if self._refused is not None:
            return self._refusal()
        if self._length is None or len(self._buffer) < self._length:
            return None
        body, self._length = _take(self._buffer, self._length), None
        return body

    def _refusal(self) -> FramingError | None:
        """The error for a body that is not taken, once enough of it is there to tell whose it is."""
        if self._refused is None or len(self._buffer) < min(self._skip, HEAD):
            return None
        (name, message), self._refused = self._refused, None
        return FramingError(name, message, head=bytes(self._buffer[: min(self._skip, HEAD)]))

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
        if field[1].lower() == b"content-type":
            self._charset = _charset(field[2])
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
        charset, self._charset = self._charset, UTF_8[0]
        if length is None:
            raise _malformed("A header block must have a Content-Length.")
        message = f"A message may have {self._limit:,} bytes; this one has {length:,}"
        if length > ABSURD_LENGTH:
            raise FramingError("TOO_LARGE", message + ", and is not waited for: connect again.", fatal=True)
        if length > self._limit:
            return self._skip_body(length, "TOO_LARGE", message + ", and was skipped.")
        if charset not in UTF_8:
            message = f"The charset {charset.decode('ascii', 'replace')[:40]!r} is not read: send UTF-8."
            return self._skip_body(length, "PARSE_ERROR", message)
        return length

    def _skip_body(self, length: int, name: str, message: str) -> None:
        self._skip, self._refused = length, (name, message)


def _charset(content_type: bytes) -> bytes:
    """The charset that a Content-Type names, in lower case; UTF-8 where it names none."""
    for parameter in content_type.split(b";")[1:]:
        name, _, value = parameter.partition(b"=")
        if name.strip().lower() == b"charset":
            return value.strip().strip(b"\"'").lower()
    return UTF_8[0]


def _malformed(message: str) -> FramingError:
    return FramingError("PARSE_ERROR", message + " The connection ends here: connect again.", fatal=True)


def _take(buffer: bytearray, size: int) -> bytes:
    """Cut the first `size` bytes off."""
    taken = bytes(memoryview(buffer)[:size])
    del buffer[:size]
    return taken


def encode(value: object) -> bytes:
    """JSON of plain values and structs; NaN and infinity become null. Raises TypeError and ValueError on others."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:  # the name of a file that is no UTF-8, or an editor's of half a character
        return _encoder.encode(replaced_surrogates(msgspec.to_builtins(value, enc_hook=_plain)))


def _plain(value: object) -> object:
    if isinstance(value, msgspec.Raw):
        return msgspec.json.decode(value)
    raise TypeError(f"JSON has no {type(value).__name__}")


def editor_frame(body: bytes) -> bytes:
    """A body behind its header block."""
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def line_frame(body: bytes) -> bytes:
    """A body as a line."""
    return body + b"\n"
