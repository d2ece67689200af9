"""The short form of the stress test: no trace is lost, none is half, and garbage breaks nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nanochat.trace_storage import TraceStorage
from tests.stress.garbage import read_garbage, write_garbage
from tests.stress.writer_kills import KillReport, example, kill_writers, look_at_remains


@pytest.mark.parametrize("format", ["json", "safetensors"])
def test_a_killed_writer_loses_at_most_the_trace_it_was_writing(tmp_path, format):
    report = kill_writers(tmp_path / "traces", tmp_path / "c.sqlite3", kills=10, format=format)
    assert (report.lost, report.broken, report.left_over) == ([], [], [])
    assert report.kills == 10
    assert report.listed >= report.reported >= 10


def test_the_harness_sees_what_is_lost_broken_and_left_over(tmp_path):
    storage = TraceStorage(tmp_path / "traces", catalogue=tmp_path / "c.sqlite3")
    whole, changed = (storage.create_trace(*example(seed)) for seed in (1, 2))
    text = storage.path_of(changed).read_bytes()
    storage.path_of(changed).write_bytes(text.replace(b'"seed":2', b'"seed":3'))
    (storage.directory / "half.json").write_bytes(text[:500])
    (storage.directory / "something").touch()
    report = KillReport()
    look_at_remains(storage, [whole, "trace_never_seen"], report)
    assert report.lost == ["trace_never_seen"]
    assert [line.split(":")[0] for line in sorted(report.broken)] == ["half", changed]
    assert report.left_over == ["something"]
    assert report.failed()


def test_garbage_is_read_or_called_unreadable(tmp_path):
    write_garbage(tmp_path / "garbage", 500, seed=3)
    report = read_garbage(tmp_path / "garbage", tmp_path / "c.sqlite3")
    assert report.failures == []
    assert report.files == 500
    assert report.listed_unreadable + report.read + report.refused_on_reading == 500
    assert min(report.listed_unreadable, report.read, report.refused_on_reading) > 20
    assert report.slowest_seconds < 10


def test_the_full_form_runs_as_a_command():
    command = [sys.executable, "-m", "tests.stress.storage", "--kills", "2", "--garbage", "20"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True)
    json_line, _, garbage_line = done.stdout.splitlines()
    assert json.loads(json_line.removeprefix("json "))["kills"] == 1
    assert garbage_line.startswith('garbage {"files": 20')
