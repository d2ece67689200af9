import re

import pytest

from protocol.errors import ERRORS
from protocol.methods import ALWAYS, METHODS, NOTIFICATIONS
from protocol.types import Params

ROWS = [*METHODS.values(), *NOTIFICATIONS.values()]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_is_whole(row):
    assert (METHODS | NOTIFICATIONS)[row.name] is row
    assert re.fullmatch(r"[a-z]+([_.][a-z]+)*", row.name)
    assert issubclass(row.params, Params)
    assert row.summary.endswith((".", ".)"))


def test_methods_and_notifications_share_no_name():
    assert not METHODS.keys() & NOTIFICATIONS.keys()


@pytest.mark.parametrize("row", METHODS.values(), ids=lambda row: row.name)
def test_a_methods_errors_are_known_and_named_once(row):
    names = (*row.errors, *ALWAYS)
    assert set(names) <= ERRORS.keys()
    assert len(set(names)) == len(names)
