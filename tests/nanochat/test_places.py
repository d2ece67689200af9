"""Which trace a name means, where several could be meant."""

import pytest

from nanochat.places import ids_meant

IDS = ["trace_20", "trace_2020", "trace_1020", "mine_20"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("trace_20", ["trace_20"]),  # another begins so too
        ("202", ["trace_2020"]),
        ("20", ["trace_20", "trace_2020"]),  # as `trace_` begins; others have it in them
        ("10", ["trace_1020"]),
        ("020", ["trace_2020", "trace_1020"]),
        ("mine", ["mine_20"]),
        ("nothing", []),
    ],
)
def test_the_closest_are_meant(name: str, meant: list[str]) -> None:
    assert ids_meant(IDS, name) == meant
