"""Listings are ordered by instant, whatever the zones of those who wrote the traces and of those who read them."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nanochat.trace_storage import TraceStorage
from tests.nanochat.trace_examples import older_document, small_trace, write_json

ROOT = Path(__file__).parents[3]
# As POSIX writes zones, so that none need be installed; the sign is turned round: JST-9 is UTC+9.
ZONES = ["JST-9", "UTC0", "NPT-5:45", "LINT-14", "CET-1CEST,M3.5.0,M10.5.0/3", "NZST-12NZDT,M9.5.0,M4.1.0/3", "HST10"]
SAVE = """
import sys
from nanochat.trace_storage import TraceStorage
print(TraceStorage(sys.argv[1], catalogue=":memory:").create_trace({"prompt": sys.argv[2]}, {}))
"""
LIST = """
import sys
from nanochat.trace_storage import TraceStorage
print(*TraceStorage(sys.argv[1], catalogue=sys.argv[2]).list_traces())
"""
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d"


def in_zone(zone: str, program: str, *arguments: object) -> str:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    environment = os.environ | {"TZ": zone}
    return subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def put(folder: Path, name: str, timestamp: str | None, written: float = 0.0) -> None:
    folder.mkdir(exist_ok=True)
    write_json(folder / f"{name}.json", older_document(timestamp=timestamp))
    os.utime(folder / f"{name}.json", (written, written))


@pytest.mark.parametrize("format", ["json", "safetensors"])
def test_a_trace_says_when_it_was_made_with_the_offset_from_utc(tmp_path, format):
    storage = TraceStorage(tmp_path / "traces", catalogue=":memory:")
    before = datetime.now(UTC)
    trace_id = storage.create_trace(*small_trace(), format=format)
    for text in (storage.get_trace_summary(trace_id)["timestamp"], storage.list_entries()[0].timestamp):
        assert re.fullmatch(STAMP, text)
        assert before <= datetime.fromisoformat(text) <= datetime.now(UTC)


def test_writers_and_readers_in_many_zones_agree_on_the_order(tmp_path):
    made = [in_zone(zone, SAVE, tmp_path / "traces", zone) for zone in ZONES]
    for zone in ZONES[:3]:
        assert in_zone(zone, LIST, tmp_path / "traces", tmp_path / f"catalogue {zone}").split() == made[::-1]


def test_the_catalogue_of_one_zone_serves_another(tmp_path):
    put(tmp_path / "traces", "naive", "2026-06-01T12:00:00", datetime(2026, 6, 1, 3, tzinfo=UTC).timestamp())
    put(tmp_path / "traces", "zoned", "2026-06-01T04:00:00+00:00")
    for zone in ZONES[::-1]:
        assert in_zone(zone, LIST, tmp_path / "traces", tmp_path / "catalogue") == "zoned naive"


def test_the_hour_that_comes_twice_is_two_hours(tmp_path):
    folder = tmp_path / "traces"
    autumn = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)  # Berlin's clocks go back from three to two at 01:00 UTC
    for number in range(8):
        moment = autumn + timedelta(minutes=20 * number)
        offset = timedelta(hours=2 if moment.hour < 1 else 1)
        local = (moment + offset).replace(tzinfo=None).isoformat()
        put(folder, f"t{number}", f"{local}+0{offset.seconds // 3600}:00")
    assert TraceStorage(folder, catalogue=":memory:").list_traces() == [f"t{number}" for number in range(7, -1, -1)]


def test_a_foreign_time_without_an_offset_gives_way_to_the_files(tmp_path):
    folder = tmp_path / "traces"
    for name, timestamp, written in (
        ("first", "2030-01-01T00:00:00", 100.0),
        ("second", "2001-01-01T00:00:00.5", 200.0),
        ("third", "2026-01-01", 300.0),
        ("fourth", "20260101T120000", 400.0),
        ("fifth", None, 500.0),
        ("sixth", "yesterday", 600.0),
    ):
        put(folder, name, timestamp, written)
    put(folder, "zulu", "1970-01-01T00:03:30Z", 9e8)
    put(folder, "basic", "19700101T000430+0000", 9e8)
    put(folder, "west", "1969-12-31T19:05:50-05:00", 9e8)
    order = ["sixth", "fifth", "fourth", "west", "third", "basic", "zulu", "second", "first"]
    assert TraceStorage(folder, catalogue=":memory:").list_traces() == order


@pytest.mark.parametrize("timestamp", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "x" * 100_000, "٢٠٢٦"])
def test_odd_times_cost_nobody_anything(tmp_path, timestamp):
    put(tmp_path / "traces", "odd", timestamp)
    put(tmp_path / "traces", "usual", "2026-01-01T00:00:00Z")
    storage = TraceStorage(tmp_path / "traces", catalogue=":memory:")
    assert sorted(storage.list_traces()) == ["odd", "usual"]
    assert storage.get_trace_summary("odd")["timestamp"] == timestamp
