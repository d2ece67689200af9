import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from protocol.generate.json_text import WIDTH, readable

plain = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False, allow_infinity=False) | some.text(),
    lambda inner: some.lists(inner, max_size=5) | some.dictionaries(some.text(), inner, max_size=5),
)


@given(plain)
def test_it_says_the_same(value):
    assert json.loads(readable(value)) == value


def test_what_fits_stays_on_one_line():
    assert readable({"a": [1, 2], "b": None}) == '{"a": [1, 2], "b": null}'


def test_the_rest_is_spread_and_numbers_are_filled_up():
    lines = readable({"data": list(range(100)), "rows": [{"text": "x" * 60}, {"text": "y" * 60}]}).splitlines()
    assert all(len(line) <= WIDTH for line in lines)
    assert lines[:2] == ["{", '  "data": [']
    assert len(lines) < 14


def test_nan_is_not_json():
    with pytest.raises(ValueError, match="JSON"):
        readable([float("nan")])
