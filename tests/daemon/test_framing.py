"""Framing: the same messages however the bytes are cut, limits kept in bounded memory, and nothing that is not JSON."""

import itertools
import math
from unittest import mock

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from daemon import framing
from daemon.framing import EditorFrames, Frames, FramingError, LineFrames, decode, editor_frame, encode, line_frame

Found = bytes | tuple[str, bool]


def parse(frames: Frames, *pieces: bytes, end: bool = False) -> list[Found]:
    """Bodies, and errors as their name and whether they are fatal."""
    found: list[Found] = []
    for piece in pieces:
        frames.feed(piece)
        found += rest(frames)
    if end:
        frames.end()
        found += rest(frames)
    return found


def rest(frames: Frames) -> list[Found]:
    found: list[Found] = []
    while (frame := frames.next()) is not None:
        found.append((frame.name, frame.fatal) if isinstance(frame, FramingError) else frame)
    return found


def cut(stream: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in at), len(stream)]
    return [stream[start:stop] for start, stop in itertools.pairwise(edges)]


def test_lines_blank_lines_and_a_last_line_without_end() -> None:
    assert parse(LineFrames(), b'{"a":1}\r\n\n \t\r\n[2]\n3', end=True) == [b'{"a":1}\r\n', b"[2]\n", b"3\n"]
    assert parse(LineFrames(), b"1\n", end=True) == [b"1\n"]


def test_a_line_over_the_limit_is_told_once_and_skipped_and_the_next_one_counts() -> None:
    frames = LineFrames(limit=10)
    assert parse(frames, b"x" * 10 + b"\n", b"x" * 10 + b"\r\n", b"x" * 11 + b"\n1\n") == [
        b"x" * 10 + b"\n", b"x" * 10 + b"\r\n", ("TOO_LARGE", False), b"1\n",
    ]  # fmt: skip
    assert parse(frames, b"x" * 12) == [("TOO_LARGE", False)]
    for _ in range(1000):
        assert parse(frames, b"y" * 1000) == []
        assert len(frames._buffer) == 0
    assert parse(frames, b"z\n2\n") == [b"2\n"]


def test_headers_in_any_case_and_order_with_what_else_they_hold() -> None:
    stream = (
        b"content-length: 2\r\nContent-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n{}"
        b"X-Other: 1\r\nCONTENT-LENGTH:3 \r\n\r\n[1]Content-Length: 0002\n\n{}"
    )
    assert parse(EditorFrames(), stream) == [b"{}", b"[1]", b"{}"]


@pytest.mark.parametrize(
    "header",
    [
        b"GET / HTTP/1.1\r\n",
        b"\r\n",
        b"Content-Type: x\r\n\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 1e3\r\n",
        b"Content-Length: \r\n",
        b"Content-Length: 0x10\r\n",
        b"Content-Length: \xd9\xa1\r\n",
        b"Content-Length: 1_0\r\n",
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Content Length: 2\r\n",
        b": 2\r\n",
        b"x" * 4096,
        b"A: b\r\n" * 683,
    ],
)
def test_a_malformed_header_block_is_fatal_at_once(header: bytes) -> None:
    frames = EditorFrames()
    assert parse(frames, header) == [("PARSE_ERROR", True)]
    assert parse(frames, b"Content-Length: 2\r\n\r\n{}" * 1000) == []
    assert len(frames._buffer) < 5000


def test_a_header_block_may_have_all_its_bytes() -> None:
    length = b"Content-Length: 2\r\n\r\n"
    padding = b"A: " + b"b" * (framing.HEADER_LIMIT - len(length) - 5) + b"\r\n"
    assert parse(EditorFrames(), padding + length + b"{}") == [b"{}"]
    assert parse(EditorFrames(), b"b" + padding + length + b"{}")[-1] == ("PARSE_ERROR", True)


def test_a_body_over_the_limit_is_told_at_once_and_skipped_to_the_byte() -> None:
    frames = EditorFrames(limit=10)
    assert parse(frames, b"Content-Length: 2000\r\n\r\n") == [("TOO_LARGE", False)]
    for _ in range(19):
        assert parse(frames, b"x" * 100) == []
        assert len(frames._buffer) == 0
    assert parse(frames, b"x" * 100 + editor_frame(b"0123456789")) == [b"0123456789"]


@pytest.mark.parametrize("length", [str((1 << 30) + 1), "9" * 30, "9" * 4000])
def test_an_absurd_length_is_not_waited_for(length: str) -> None:
    assert parse(EditorFrames(), f"Content-Length: {length}\r\n\r\n".encode()) == [("TOO_LARGE", True)]


def test_half_a_message_of_an_editor_that_is_gone_is_none() -> None:
    assert parse(EditorFrames(), b"Content-Length: 5\r\n\r\n{}", end=True) == []


@given(some.lists(some.binary(min_size=1, max_size=40)), some.lists(some.integers(0, 10_000)))
def test_editor_frames_are_the_same_however_they_are_cut(bodies: list[bytes], at: list[int]) -> None:
    stream = b"".join(map(editor_frame, bodies))
    assert parse(EditorFrames(), *cut(stream, at)) == bodies


@given(some.lists(some.binary(max_size=30)), some.lists(some.integers(0, 10_000)))
def test_lines_are_the_same_however_they_are_cut(lines: list[bytes], at: list[int]) -> None:
    stream = b"\n".join(lines)
    assert parse(LineFrames(limit=15), *cut(stream, at), end=True) == parse(LineFrames(limit=15), stream, end=True)


@given(some.binary(max_size=200), some.lists(some.integers(0, 10_000)))
def test_no_bytes_break_the_editor_parser(stream: bytes, at: list[int]) -> None:
    stream = b"Content-Length: " + stream
    assert parse(EditorFrames(20), *cut(stream, at)) == parse(EditorFrames(20), stream)


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"{", b"{]", b"nan", b"NaN", b"[Infinity]", b"-Infinity", b"'a'", b"{'a':1}", b"[1,]", b"01", b"1e999",
     b'"\xff"', b'{"\xff":1}', b'"\xed\xa0\x80"', b'"\\ud800"', b'"\x01"', b"\xef\xbb\xbf{}", b"{} {}", b"1" * 5000,
     b"{a:1}", b"// x\n1"],
)  # fmt: skip
def test_what_is_not_json(body: bytes) -> None:
    with pytest.raises(FramingError) as raised:
        decode(body)
    assert (raised.value.code, raised.value.fatal) == (-32700, False)


def nested(depth: int) -> list[bytes]:
    lists, objects = b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth
    return [lists, objects, b" " + lists]


def test_nesting_up_to_the_limit_and_no_deeper() -> None:
    for body in nested(100):
        decode(body)
    for body in nested(101) + nested(100_000) + [b"[" * 1_000_000, b'{"a":' * 1_000_000]:
        with pytest.raises(FramingError, match="nested 100 deep"):
            decode(body)


def test_brackets_side_by_side_or_within_strings_are_not_nested() -> None:
    for value in (
        [[]] * 5000,
        "[" * 5000,
        {'\\"[': "[{" * 300 + '\\"' * 300, "a": ["\\"] * 200},
        [{}, {"a": []}] * 200,
    ):
        assert decode(msgspec.json.encode(value)) == value


@pytest.mark.parametrize("body", [b'"\\"' * 3_000_000, b'["' + b'\\"' * 3_000_000, b'"' * 5_000_000, b"[]" * 3_000_000])
@pytest.mark.timeout(8)
def test_no_body_takes_long(body: bytes) -> None:
    with pytest.raises(FramingError):
        decode(b"[" * 101 + body)


@pytest.mark.parametrize("blanks", [b" " * 4000, b"x " * 2000, b"\t \t" * 1300, b" \x0b" * 2000])
@pytest.mark.timeout(8)
def test_no_header_line_takes_long(blanks: bytes) -> None:
    for _ in range(500):
        assert parse(EditorFrames(), b"A: x" + blanks + b"y\r\n", b"\r\n") == [("PARSE_ERROR", True)]


@pytest.mark.parametrize(
    "body",
    [b"[" + b"[]," * 200_000 + b"1]", b"[" + b'{"":1},' * 200_000 + b"1]", b"[" + b"1," * 600_000 + b"1]",
     b'["' + b'\\"' * 200_000 + b'",' + b"[]," * 200_000 + b"1]"],
)  # fmt: skip
def test_a_message_with_more_values_than_python_makes_at_once_is_too_large(body: bytes) -> None:
    with pytest.raises(FramingError, match="send less at a time") as raised:
        decode(body)
    assert (raised.value.name, raised.value.fatal) == ("TOO_LARGE", False)


def test_many_commas_and_brackets_in_a_text_are_one_value() -> None:
    text = ('[{,}]\\"' * 7 + "\n") * 40_000
    assert decode(msgspec.json.encode([text, text])) == [text, text]


@given(some.text('[{"\\}]a,', max_size=400), some.integers(1, 9))
def test_slices_find_the_same_as_the_whole(text: str, size: int) -> None:
    def refused(body: bytes, size: int) -> bool:
        with mock.patch.multiple(framing, SLICE=size, NESTING_LIMIT=2, BRACKETS_LIMIT=6, VALUES_LIMIT=9):
            try:
                list(framing.look_at(body))
            except FramingError:
                return True
            return False

    for body in (msgspec.json.encode([text, [text]]), b"[[" + msgspec.json.encode(text), b"[[[" + text.encode()):
        assert refused(body, size) == refused(body, 1 << 17)


def test_what_is_written() -> None:
    struct = msgspec.defstruct("S", [("a", float)])(math.nan)
    assert encode({"s": struct, "b": [math.inf, -math.inf, "é"]}) == '{"s":{"a":null},"b":[null,null,"é"]}'.encode()
    assert line_frame(b"1") == b"1\n"
    assert editor_frame("é".encode()) == b"Content-Length: 2\r\n\r\n\xc3\xa9"
