import io
import math
import threading
import time
import warnings
from contextlib import redirect_stderr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat.calculator import MAX_DIGITS, MAX_LENGTH, use_calculator

numbers = st.one_of(
    st.integers(0, 10**12).map(str),
    st.decimals(0, 10**6, places=3).map(str),
    st.sampled_from(["0", "0.0", ".5", "7.", "1,234"]),
)
expressions = st.recursive(
    numbers,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", " + ", " - "]), inner).map("".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"-{text}"),
    ),
    max_leaves=8,
)


@given(expressions)
def test_it_agrees_with_python(expression):
    try:
        expected = eval(expression.replace(",", ""))
    except (ZeroDivisionError, OverflowError):
        expected = None
    found = use_calculator(expression)
    assert found == expected
    assert type(found) is type(expected)


@given(st.text(alphabet="abr\"'.()count ", max_size=30))
def test_what_it_makes_of_texts_python_makes_too(expression):
    found = use_calculator(expression)
    if found is not None:
        with warnings.catch_warnings(action="ignore"):
            assert found == eval(expression)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("12 * 7", 84),
        (" 1,000,000 + 1 ", 1_000_001),
        ("7 // 2", 3),
        ("7 / 2", 3.5),
        ("-(3 - 5) * +2", 4),
        ("'strawberry'.count('r')", 3),
        ('"Strawberry".lower().count("s")', 1),
        ('"strawberry".upper().count("R")', 3),
        ('"it\'s".count("s")', 1),
        ("('straw' 'berry') . count( 'r' )", 3),
        ('"".count("")', 1),
        ('"b2b 1or 2".count("2")', 2),
    ],
)
def test_it_computes(expression, value):
    assert use_calculator(expression) == value


REFUSED = [
    *("", "   ", "x", "1 +", ")(", "2 ** 8", "2**", "5 % 2", "1 << 3", "~1", "1 if 1 else 2", "1 < 2", "[1]", "(1, 2)"),
    *(
        "1e5",
        "0x1f",
        "1_0",
        "1j",
        "True",
        "None",
        "...",
        "٣",
        "1;2",
        "1\n+1",
        "lambda: 1",
        "1 and 2",
        "1or 2",
        "0xfor 1",
    ),
    *("1/0", "1//0", "0.0/0.0", "1 / 0.0", "1()", "(1)(2)", "1 .real", "1.0.hex()", "abs(1)", "sum((1 2))"),
    *(
        "'a'",
        "'a' + 'b'",
        "'a' * 9",
        "'a'.upper()",
        "'a'.count()",
        "'a'.count(1)",
        "'a'.count('a').real",
        "'a'.index('a')",
    ),
    *("a.count('a')", "('a').__class__", "'a'.count(*'a')", "'a'.count(b'a')", "b'a'.count('a')", "f'a'.count('a')"),
    *(
        "f'{1or 2}'.count('1')",
        "'a'.count('a' if 1or 2else 'b')",
        "'a'.count('a', 0)",
        "'a'.count('a'",
        "'\\x61'.count('a')",
    ),
    *("__import__('os').system('true')", "().__class__.__bases__", "open('x')", "'a'.count(open('x'))", "exec('1')"),
    *(
        "'a'.lower('x').count('a')",
        "'a'.strip().count('a')",
        "\ud800",
        "'\ud800'.count('a')",
        "1\x002",
        "'a\nb'.count('a')",
    ),
]


@pytest.mark.parametrize("expression", REFUSED)
def test_it_refuses(expression):
    assert use_calculator(expression) is None


@pytest.mark.parametrize("expression", [*REFUSED, "1 + 1", "'a'.count('a')"])
def test_it_prints_nothing(expression):
    heard = io.StringIO()
    with warnings.catch_warnings(record=True, action="always") as caught, redirect_stderr(heard):
        use_calculator(expression)
    assert caught == []
    assert heard.getvalue() == ""


@pytest.mark.parametrize(
    "expression",
    [
        "9" * 150,
        f"{'9' * 60}*{'9' * 60}",
        f"0-{'9' * MAX_DIGITS}-1",
        "*".join(["9" * 90] * 2),
        "(" * 99 + "1" + ")" * 99,
        "-" * 150 + "1",
        "1" + "+1" * 90,
        "1" + "+1" * 100_000,
        "(" * 1_000_000,
        f"'{'a' * 300}'.count('a')",
        "/".join([".000000000000001"] * 12) + "/0." + "0" * 8 + "1",
        "9*" * 99 + "9",
    ],
)
def test_it_takes_no_time_and_gives_nothing_large(expression):
    began = time.process_time()
    found = use_calculator(expression)
    assert time.process_time() - began < 0.5
    assert found is None or len(str(abs(found))) <= MAX_DIGITS


def test_the_longest_expression_passes_and_the_next_does_not():
    text = "a" * (MAX_LENGTH - len("''.count('a')"))
    assert use_calculator(f"'{text}'.count('a')") == len(text)
    assert use_calculator(f"'{text}a'.count('a')") is None
    assert use_calculator("1" + "+1" * 99) == 100
    assert use_calculator("-" * 199 + "1") == -1


def test_the_largest_number_passes_and_the_next_does_not():
    largest = "9" * MAX_DIGITS
    assert use_calculator(largest) == int(largest)
    assert use_calculator(f"{largest}+0") == int(largest)
    assert use_calculator(f"{largest}+1") is None
    assert use_calculator(f"-{largest}-1") is None


@pytest.mark.parametrize("expression", ["9" * 190 + ".0", "1/." + "0" * 190 + "1", "*".join(["9" * 60 + "."] * 3)])
def test_the_largest_floats_that_fit_are_finite(expression):
    found = use_calculator(expression)
    assert isinstance(found, float) and math.isfinite(found) and found > 1e170


def test_it_works_off_the_main_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append((use_calculator("6*7"), use_calculator("2**8"))))
    thread.start()
    thread.join()
    assert found == [(42, None)]
