"""Short and harmless text."""

import pytest

from nanochat.system.text import (
    below_each_other,
    human_size,
    on_one_line,
    one_line,
    printable,
    short_number,
    short_probability,
    three_digits,
)


def test_tokens_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[31m\r\n\tb\x07\x9b\u202e") == "a\\x1b[31m\\x0d\n\tb\\x07\\x9b\\u202e"
    assert one_line("  a b \n") == "··a·b·↵".replace("a·b", "a b").replace("b·↵", "b ↵")
    assert one_line("   ") == "···"
    assert one_line("") == ""


def test_a_longer_text_keeps_its_spaces() -> None:
    assert on_one_line(" a\tb\n\x1b ") == " a⇥b↵\\x1b "


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0.0, "0.00"),
        (-0.123, "-0.12"),
        (12.34, "12.3"),
        (-123.4, "-123"),
        (999.7, "1000"),
        (123456.0, "1e5"),
    ],
)
def test_numbers_stay_short(value: float | None, shown: str) -> None:
    assert short_number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1.00"),
        (-0.00123456, "-0.00123"),
        (-0.000123456, "-1.23e-4"),
        (0.0009999, "1.00e-3"),
        (1.5e-12, "1.50e-12"),
        (12.34, "12.3"),
        (123.4, "123"),
        (999.7, "1.00e3"),
        (-1.5e12, "-1.50e12"),
    ],
)
def test_three_digits_are_three_however_small(value: float | None, shown: str) -> None:
    assert three_digits(value) == shown


def test_decimal_points_stand_below_each_other() -> None:
    assert below_each_other(["-1.5", "0.25", "123", "–"]) == [" -1.5 ", "  0.25", "123   ", "  –   "]
    assert below_each_other([]) == []


@pytest.mark.parametrize(
    ("count", "shown"), [(12, "12 bytes"), (1500, "1.5 kB"), (103_000_000, "103.0 MB"), (2 * 10**9, "2.0 GB")]
)
def test_sizes(count: int, shown: str) -> None:
    assert human_size(count) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1.0, "1.00"), (0.934, ".93"), (0.006, ".01"), (0.0021, "2e-3"), (3e-12, "3e-12"), (0.0, ".00")],
)
def test_small_probabilities_keep_their_size(value: float, shown: str) -> None:
    assert short_probability(value) == shown
