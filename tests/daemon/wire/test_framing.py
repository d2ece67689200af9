"""Framing: the same messages however the bytes are cut, limits kept in bounded memory, and nothing that is not JSON."""

import itertools
import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from daemon.wire import framing
from daemon.wire.framing import (
    HEAD,
    EditorFrames,
    Frames,
    FramingError,
    LineFrames,
    editor_frame,
    encode,
    line_frame,
    request_id,
)

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


def test_a_body_over_the_limit_is_told_when_it_may_be_known_whose_it_is_and_skipped_to_the_byte() -> None:
    frames = EditorFrames(limit=10)
    assert parse(frames, b"Content-Length: 12000\r\n\r\n" + b"x" * (HEAD - 1)) == []
    assert parse(frames, b"x") == [("TOO_LARGE", False)]
    for _ in range(79):
        assert parse(frames, b"x" * 100) == []
        assert len(frames._buffer) == 0
    assert parse(frames, b"x" * 4 + editor_frame(b"0123456789")) == [b"0123456789"]
    assert parse(frames, b"Content-Length: 11\r\n\r\n01234567890" + editor_frame(b"{}")) == [
        ("TOO_LARGE", False),
        b"{}",
    ]


@pytest.mark.parametrize("charset", ["utf-16", "UTF-16LE", '"latin1"', "us-ascii", "", "utf-8x"])
def test_a_foreign_charset_is_refused_and_its_body_skipped(charset: str) -> None:
    header = f"Content-Length: 3\r\nContent-Type: application/vscode-jsonrpc; charset={charset}\r\n\r\n"
    stream = header.encode() + b"{ }" + editor_frame(b"{}")
    assert parse(EditorFrames(), stream) == [("PARSE_ERROR", False), b"{}"]


@pytest.mark.parametrize("charset", ["utf-8", "utf8", '"UTF-8"', "Utf-8 "])
def test_utf_8_may_be_said_in_any_way(charset: str) -> None:
    header = f"Content-Type: a/b;x=y; Charset={charset}\r\nContent-Length: 3\r\n\r\n"
    assert parse(EditorFrames(), header.encode() + b"{ }") == [b"{ }"]


def test_a_request_that_is_not_taken_is_known_by_its_head() -> None:
    request = b'{"jsonrpc":"2.0","id":"a","method":"get_summary","params":{"trace_id":"' + b"x" * 5000 + b'"}}'
    for frames, body in ((LineFrames(1000), line_frame(request)), (EditorFrames(1000), editor_frame(request))):
        for pieces in ([body], [body[:4500], body[4500:]]):
            errors: list[FramingError] = []
            for piece in pieces:
                frames.feed(piece)
                errors += [found for found in iter(frames.next, None) if isinstance(found, FramingError)]
            assert [error.id for error in errors] == ["a"]


@pytest.mark.parametrize(
    ("head", "identifier"),
    [
        (b'{"jsonrpc": "2.0", "id": 7, "method": "x", "params": {', 7),
        (b' \n{"method":"x","id":"\\u00e9\\"","params":', 'é"'),
        (b'\xef\xbb\xbf{"id":-5,"method":"x",', -5),
        (b'{"id":7,"method":"x"}', 7),
        (b'{"id":7,"result":1}', None),
        (b'{"id":7,"params":{"method":"x"', 7),
        (b'{"jsonrpc":"2.0","id":7,"method":"' + b"x" * 5000, 7),
        (b'{"id":7,"result":{"method":"x"', None),
        (b'{"method":"x","params":{"id":7}', None),
        (b'[{"id":7,"method":"x"},', None),
        (b'{"id":7.5,"method":"x",', None),
        (b'{"id":{},"method":"x",', None),
        (b'{"id":"\\ud83d","method":"x",', None),
        (b'{"id":"' + b"x" * 2000 + b'","method":"x",', None),
        (b'{"id":7,"method":5,', None),
        (b"{" + b" " * 4000, None),
        (b'{"' + b"\\" * 4000, None),
        (b"", None),
    ],
)
def test_the_id_is_only_taken_where_it_is_plain(head: bytes, identifier: object) -> None:
    assert request_id(head) == identifier


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


@pytest.mark.parametrize("blanks", [b" " * 4000, b"x " * 2000, b"\t \t" * 1300, b" \x0b" * 2000])
@pytest.mark.timeout(8)
def test_no_header_line_takes_long(blanks: bytes) -> None:
    for _ in range(500):
        assert parse(EditorFrames(), b"A: x" + blanks + b"y\r\n", b"\r\n") == [("PARSE_ERROR", True)]


def test_what_is_written() -> None:
    struct = msgspec.defstruct("S", [("a", float)])(math.nan)
    assert encode({"s": struct, "b": [math.inf, -math.inf, "é"]}) == '{"s":{"a":null},"b":[null,null,"é"]}'.encode()
    assert line_frame(b"1") == b"1\n"
    assert editor_frame("é".encode()) == b"Content-Length: 2\r\n\r\n\xc3\xa9"


def test_what_is_json_already_is_taken_beside_half_a_character() -> None:
    assert json.loads(encode({"uri": "\ud83d", "found": msgspec.Raw(b"[1]")})) == {"uri": "\ufffd", "found": [1]}
