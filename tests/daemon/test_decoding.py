"""What clients send as plain values: what is not JSON, what is taken with care, and that nothing takes long."""

import contextlib
import json
import time
from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from daemon import decoding
from daemon.decoding import VALUES_LIMIT, decode, exact, inexact_in, whole_text
from daemon.framing import FramingError


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"{", b"{]", b"nan", b"'a'", b"{'a':1}", b"[1,]", b"01", b'"\xff"', b'{"\xff":1}', b'"\xed\xa0\x80"',
     b'"\x01"', b"{} {}", b"{a:1}", b"// x\n1", b"\xef\xbb\xbf", b"{}\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf1",
     b'"\\ud83d', b'"\\uD8"', b"1e", b"+Infinity", b"tru"],
)  # fmt: skip
def test_what_is_not_json(body: bytes) -> None:
    with pytest.raises(FramingError) as raised:
        decode(body)
    assert (raised.value.code, raised.value.fatal, raised.value.id) == (-32700, False, None)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"NaN", "$"),
        (b'{"a": [1, -Infinity]}', "$.a[1]"),
        (b'{"a": 1e999}', "$.a"),
        (b"[1e400]", "$[0]"),
        (b"-" + b"1" * 5000, "$"),
        (b"1" * 400 + b".5", "$"),
        (b'{"a": "x\\ud83d"}', "$.a"),
        (b'["\\ude00\\ud83d"]', "$[0]"),
        (b'{"\\ud83d": 1}', "$.<a key>"),
    ],
)
def test_what_json_can_say_and_we_cannot_keep_is_named_by_its_place(body: bytes, place: str) -> None:
    value, is_exact = decode(body)
    assert not is_exact
    assert f"`{place}`" in str(inexact_in(value))
    assert inexact_in(exact(value)) is None
    json.dumps(exact(value), allow_nan=False).encode()


def test_a_byte_order_mark_is_ignored() -> None:
    assert decode(b'\xef\xbb\xbf{"a": 1}\n') == ({"a": 1}, True)
    assert decode(b"\xef\xbb\xbf NaN")[1] is False


def test_whole_numbers_and_halves_that_make_a_character_are_exact() -> None:
    for value in (10**4299, -(2**127), 2**53 + 1, 0, "😀", "\u2028"):
        assert decode(json.dumps(value).encode()) == (value, True)
    assert repr(decode(b"[-0.0, 1e-400, 1.7976931348623157e308]")[0]) == "[-0.0, 0.0, 1.7976931348623157e+308]"


HEAD = b'{"jsonrpc":"2.0","id":7,"method":"x","params":'
LAST = b',"method":"x","id":7}'


@pytest.mark.parametrize(
    "body",
    [HEAD + b"{bad}}", HEAD + b'"\xff"}', b'{"params":"\xff"' + LAST, HEAD + b"[" * 101 + b"]" * 101 + b"}",
     HEAD + b"[" + b"1," * VALUES_LIMIT + b"1]}", HEAD[:-9]],
)  # fmt: skip
def test_the_id_of_what_is_no_json_is_told_where_it_can_be_read(body: bytes) -> None:
    with pytest.raises(FramingError) as raised:
        decode(body)
    assert raised.value.id == 7


def nested(depth: int) -> list[bytes]:
    lists, objects = b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth
    return [lists, objects, b" " + lists, b'["]]]",' + lists[1:-1] + b"]"]


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
        ["{", "["] * 300,
        "," * 1_000_000,
    ):
        assert decode(msgspec.json.encode(value)) == (value, True)


values = some.recursive(
    some.none() | some.integers() | some.text('[]{},"\\ab😀'),
    lambda inner: some.lists(inner) | some.dictionaries(some.text('[]{},"\\a'), inner),
)


@given(values)
def test_brackets_in_strings_never_count(value: Any) -> None:
    body = b"[" * 90 + msgspec.json.encode(value) + b"]" * 90
    deep = depth(value)
    if deep <= 10:
        assert decode(body)[1]
    else:
        with pytest.raises(FramingError, match="nested"):
            decode(body)


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


MB = 1 << 20
HOSTILE = {
    "quotes": b'"' * 16 * MB,
    "empty strings": b'[""' + b',""' * 5 * MB,
    "strings of brackets": b'["{"' + b',"{"' * 4 * MB,
    "brackets between strings": b'["{"[' * 3 * MB,
    "escaped quotes": b'["' + b'\\"' * 8 * MB,
    "escaped backslashes": b'"' + b"\\" * 16 * MB,
    "empty objects": b"[{}" + b",{}" * 5 * MB + b"]",
    "opened": b"[" * 16 * MB,
    "half characters": b'["' + b"\\ud83d" * 2 * MB + b'"]',
    "a long number": b"1" * 16 * MB,
    "a long fraction": b"0." + b"1" * 16 * MB,
    "a long exponent": b"1e" + b"1" * 16 * MB,
    "commas in a string": b'"' + b"," * 16 * MB + b'"',
    "many keys": b"{" + b",".join(b'"%d":1' % number for number in range(MB)) + b"}",
    "spaces": b" " * 16 * MB,
    "bad UTF-8": b'"' + b"\xff" * 16 * MB + b'"',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_body_takes_long(name: str) -> None:
    """The event loop waits for it: none takes half a second of a quiet machine."""
    begun = time.process_time()
    with contextlib.suppress(FramingError):
        value, is_exact = decode(HOSTILE[name])
        assert is_exact or inexact_in(value)
    assert time.process_time() - begun < 2


def test_a_text_is_made_whole_without_changing_its_length_in_utf_16() -> None:
    for text in ("a\ud83db", "\ude00\ud83d", "é😀\ud83d", "plain"):
        made = whole_text(text)
        made.encode()
        assert len(made.encode("utf-16-le")) == len(text.encode("utf-16-le", "surrogatepass"))


def test_very_many_halves_are_replaced_in_no_time() -> None:
    begun = time.process_time()
    assert whole_text("?\ud83d" * 3_000_000) == "?\ufffd" * 3_000_000
    assert time.process_time() - begun < 1  # with an error handler called for each, a second and a half and more


def test_a_text_with_every_mark_is_made_whole_too() -> None:
    marks = "".join(chr(code) for code in range(0xFDD0, 0xFDF0))
    assert whole_text(f"{marks}?\ude00") == f"{marks}?\ufffd"
    assert whole_text(f"{marks[1:]}?\ude00") == f"{marks[1:]}?\ufffd"


@pytest.mark.parametrize(
    "body",
    [b"[" + b"[]," * 200_000 + b"1]", b"[" + b'{"":1},' * 200_000 + b"1]", b"[" + b"1," * 600_000 + b"1]",
     b'["' + b'\\"' * 200_000 + b'",' + b"[]," * 200_000 + b"1]",
     b"{" + b",".join(b'"%d":0' % number for number in range(100_001)) + b"}"],
)  # fmt: skip
def test_a_message_with_more_values_than_python_makes_at_once_is_too_large(body: bytes) -> None:
    with pytest.raises(FramingError, match="send less at a time") as raised:
        decode(body)
    assert (raised.value.name, raised.value.fatal) == ("TOO_LARGE", False)


def test_many_commas_and_brackets_in_a_text_are_one_value() -> None:
    text = ('[{,}]\\"' * 7 + "\n") * 40_000
    assert decode(msgspec.json.encode([text, text])) == ([text, text], True)


@given(some.text('[{"\\}]a,:', max_size=400), some.integers(1, 9))
def test_slices_find_the_same_as_the_whole(text: str, size: int) -> None:
    def refused(body: bytes, size: int) -> bool:
        with mock.patch.multiple(decoding, SLICE=size, NESTING_LIMIT=2, BRACKETS_LIMIT=6, KEYS_LIMIT=5, VALUES_LIMIT=9):
            try:
                list(decoding.look_at(body))
            except FramingError:
                return True
            return False

    for body in (msgspec.json.encode([text, [text]]), b"[[" + msgspec.json.encode(text), b"[[[" + text.encode()):
        assert refused(body, size) == refused(body, 1 << 17)
