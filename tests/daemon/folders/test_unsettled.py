"""A file is listed when it is whole, or when it has not become whole for long enough."""

from pathlib import Path

import pytest

from daemon.folders.unsettled import UnsettledFiles
from nanochat.trace_storage import TraceEntry
from nanochat.traces.catalogue import FileKey

NOW = 1_700_000_000.0


@pytest.fixture
def clock(monkeypatch):
    """Seconds since the test began; both clocks go with it."""
    clock = [0.0]
    monkeypatch.setattr("daemon.folders.unsettled.time.monotonic", lambda: 50.0 + clock[0])
    monkeypatch.setattr("daemon.folders.unsettled.time.time", lambda: NOW + clock[0])
    return clock


def entry(trace_id="a", *, written=0.0, size=1, readable=True, moment=0.0):
    state = FileKey(size, int((NOW + written) * 1e9), 1)
    texts = {"timestamp": "", "category": None, "prompt": "", "response": "", "format": "json"}
    return TraceEntry(
        trace_id, **texts, prompt_tokens=0, response_tokens=0, size=size, readable=readable, reason="",
        folder=Path("x"), name="x", moment=moment, state=state,
    )  # fmt: skip


def test_files_that_have_been_still_are_listed_at_once(clock):
    found = [entry("b", written=-0.3), entry("a", written=-7, readable=False)]
    assert UnsettledFiles().sort_out(found, {}) == (found, None)


def test_at_the_first_look_what_is_readable_counts_at_once(clock):
    new, broken = entry(written=clock[0]), entry("other", written=clock[0], readable=False)
    shown, again = UnsettledFiles().sort_out([new, broken], {}, first=True)
    assert shown == [new]
    assert again is not None


def test_a_readable_file_is_listed_when_it_holds_still(clock):
    half_written = UnsettledFiles()
    new = entry(written=-0.05)
    shown, again = half_written.sort_out([new], {})
    assert shown == []
    assert again == pytest.approx(0.15)
    clock[0] += 0.15
    assert half_written.sort_out([new], {}) == ([new], None)
    assert len(half_written) == 0


def test_a_file_that_goes_on_changing_is_held_back_as_long_as_it_does(clock):
    half_written = UnsettledFiles()
    for size in range(200):
        shown, again = half_written.sort_out([entry(written=clock[0], size=size, readable=False)], {})
        assert shown == []
        assert again is not None and again <= 0.2
        clock[0] += 0.1
    whole = entry(written=clock[0] - 0.1, size=200)
    shown, again = half_written.sort_out([whole], {})
    clock[0] += again
    assert half_written.sort_out([whole], {}) == ([whole], None)


def test_an_unreadable_file_is_looked_at_ever_more_rarely_and_then_listed(clock):
    half_written = UnsettledFiles()
    broken = entry(readable=False)
    waits = []
    while True:
        shown, again = half_written.sort_out([broken], {})
        if shown:
            break
        waits.append(again)
        clock[0] += again
    assert waits[:5] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.0])
    assert 6.0 <= clock[0] < 6.1


@pytest.mark.parametrize("skew", [-3600.0, 3600.0])
def test_a_file_from_a_host_whose_clock_is_off_is_listed_too(clock, skew):
    half_written = UnsettledFiles()
    new = entry(written=skew)
    _, again = half_written.sort_out([new], {})
    clock[0] += again or 0.0
    assert half_written.sort_out([new], {})[0] == [new]


def test_what_was_shown_stays_until_the_new_state_is_whole(clock):
    half_written = UnsettledFiles()
    old, other = entry("a", written=-10, size=5, moment=2.0), entry("b", written=-10, moment=3.0)
    shown = {"a": old, "b": other}
    half = entry("a", written=0.0, size=2, readable=False, moment=9.0)
    assert half_written.sort_out([half, other], shown)[0] == [other, old]
    clock[0] += 0.2
    whole = entry("a", written=0.0, size=6, moment=9.0)
    assert half_written.sort_out([whole, other], shown)[0] == [whole, other]


def test_what_was_shown_is_not_held_back_for_its_age(clock):
    own = entry(written=0.0)
    assert UnsettledFiles().sort_out([own], {"a": entry(written=0.0)}) == ([own], None)


def test_a_file_that_is_gone_is_forgotten(clock):
    half_written = UnsettledFiles()
    half_written.sort_out([entry(readable=False)], {})
    assert half_written.sort_out([], {}) == ([], None)
    assert len(half_written) == 0
