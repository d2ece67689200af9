"""Numbers survive the way through text exactly, in the fewest digits."""

import json
import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nanochat.traces.json.numbers import parse_numbers, rows_as_json, shaped, shortest_texts
from nanochat.traces.tensors import BFLOAT16, DTYPES


def significant_digits(text: str) -> int:
    mantissa = text.lstrip("-").split("e")[0].replace(".", "").lstrip("0")
    return len(mantissa.rstrip("0"))


def all_patterns(dtype: np.dtype) -> np.ndarray:
    return np.arange(1 << 16, dtype=np.uint16).view(dtype)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_16_bit_float_reads_back_from_its_text(dtype):
    values = all_patterns(DTYPES[dtype][0])
    exponent_bits = 0x7C00 if dtype == "float16" else 0x7F80
    finite = (values.view(np.uint16) & exponent_bits) != exponent_bits
    texts = shortest_texts(values)
    back = parse_numbers(b"[" + b",".join(texts) + b"]", dtype)
    np.testing.assert_array_equal(back.view(np.uint16)[finite], values.view(np.uint16)[finite])
    assert {text for text, good in zip(texts, finite, strict=True) if not good} == {b"null"}


def test_float16_texts_have_as_few_digits_as_numpys():
    values = all_patterns(np.dtype(np.float16))
    values = values[np.isfinite(values) & (values != 0)]
    for value, text in zip(values, shortest_texts(values), strict=True):
        numpys = np.format_float_scientific(value, unique=True, trim="-")
        assert significant_digits(text.decode()) == significant_digits(numpys), (text, numpys)


def test_no_bfloat16_text_could_do_with_a_digit_less():
    values = all_patterns(BFLOAT16)[0x0001:0x7F80:7]
    for value, text in zip(values, shortest_texts(values), strict=True):
        digits = significant_digits(text.decode())
        if digits > 1:
            shorter = float(f"{float(value):.{digits - 2}e}")
            neighbours = [shorter * (1 + sign * 10.0 ** (1 - digits)) for sign in (-1, 0, 1)]
            with np.errstate(over="ignore"):
                rounded = np.array([float(f"{near:.{digits - 2}e}") for near in neighbours]).astype(BFLOAT16)
            assert value not in rounded, (text, neighbours)


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=200))
@example([0x15AE43FD])  # 7.038531e-26: through a double it would become its neighbour
@example([0x00000001, 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0x80000000])
def test_float32_reads_back_bit_for_bit_in_the_fewest_digits(patterns):
    values = np.array(patterns, dtype=np.uint32).view(np.float32)
    text = rows_as_json(values[None])
    back = parse_numbers(text, "float32")
    finite = np.isfinite(values)
    np.testing.assert_array_equal(back.view(np.uint32)[finite], values.view(np.uint32)[finite])
    assert np.isnan(back[~finite]).all()
    for value, number in zip(values, text.strip(b"[]").split(b","), strict=True):
        if np.isfinite(value) and value != 0:
            numpys = np.format_float_scientific(value, unique=True, trim="-")
            assert significant_digits(number.decode()) == significant_digits(numpys), (number, numpys)


def test_a_decimal_next_to_the_middle_of_two_float32_goes_to_the_nearer_one():
    middle = 1 + 2.0**-24  # exactly between 1 and the next float32
    above, below = "1.00000005960464477539062500001", "1.00000005960464477539062499999"
    assert float(above) == float(below) == middle
    values = parse_numbers(f"[2.5, [{above}, {below}], -{above}, 1.000000059604644775390625]".encode(), "float32")
    next_one = np.nextafter(np.float32(1), np.float32(2))
    np.testing.assert_array_equal(values, np.array([2.5, next_one, 1, -next_one, 1], np.float32))


def test_a_subnormal_decimal_next_to_the_middle_goes_to_the_nearer_one():
    middle = 1.5 * 2.0**-149
    exact = f"{middle:.200f}".rstrip("0")
    values = parse_numbers(f"[{exact}1, {exact[:-1]}4]".encode(), "float32")
    np.testing.assert_array_equal(values, np.array([2, 1], np.float32) * np.float32(2.0**-149))


@pytest.mark.parametrize("dtype", [np.dtype(np.float32), np.dtype(np.float16), BFLOAT16], ids=str)
def test_rows_are_nested_lists_and_non_finite_numbers_are_null(dtype):
    with np.errstate(invalid="ignore"):
        rows = np.array([[1, 0.5, np.nan], [np.inf, -np.inf, -2]], dtype=np.float32).astype(dtype)
    assert json.loads(rows_as_json(rows)) == [[1, 0.5, None], [None, None, -2]]


def test_rows_of_a_view_that_is_not_contiguous():
    whole = np.arange(24, dtype=np.float32).reshape(4, 6)
    for dtype in (np.float32, np.float16):
        assert json.loads(rows_as_json(whole.astype(dtype)[::2, 1:3])) == whole[::2, 1:3].tolist()


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (b"[1, 2.5, -3]", [1, 2.5, -3]),
        (b" [[1],\n [2]] ", [1, 2]),
        (b"[null, 1]", [np.nan, 1]),
        (b"[NaN, Infinity, -Infinity, 1e999]", [np.nan, np.inf, -np.inf, np.inf]),
        (b"[18446744073709551616, 1" + b"0" * 400 + b"]", [2.0**64, np.inf]),
        (b"[]", []),
        (b"[[], [1]]", [1]),
    ],
)
def test_odd_but_readable_numbers(text, values):
    np.testing.assert_array_equal(parse_numbers(text, "float32"), np.array(values, np.float32))


@pytest.mark.parametrize(
    "text",
    [
        b"", b"1", b"[1,]", b"[1 2]", b"[1", b"[1]]", b'["1"]', b"[true]", b"[null, false]", b"[{}]", b"[0x1]",
        b"[--1]",
        b"[" * 40 + b"null" + b"]" * 40, b"[" * 5000 + b"1" + b"]" * 5000, b"[\xff]",
    ],
)  # fmt: skip
def test_what_is_not_an_array_of_numbers_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - the parsers word it
        parse_numbers(text, "float32")


def test_integers_keep_their_dtype_and_range():
    assert parse_numbers(b"[[1, -2], [3, 4.0]]", "int32").tolist() == [1, -2, 3, 4]
    assert parse_numbers(b"[9007199254740993]", "int64").tolist() == [9007199254740993]
    assert parse_numbers(b"[1]", "int32").dtype == np.int32
    for text in (b"[1.5]", b"[2147483648]", b"[null]"):
        with pytest.raises(ValueError, match=re.escape("it holds")):
            parse_numbers(text, "int32")


def test_a_shape_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"holds 3 numbers where its shape \[2, 2\] needs 4"):
        shaped(np.zeros(3), (2, 2))
