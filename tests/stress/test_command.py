"""The short forms of the daemon's stress tests; `make stress` runs them in full."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

from nanochat.trace_storage import TraceStorage
from tests.daemon.waiting import until
from tests.stress.__main__ import FLAGS, TESTS, main
from tests.stress.chaos import answers_in
from tests.stress.ground import Report, ground
from tests.stress.remains import check_rows, look_at_remains
from tests.stress.writer_kills import example

ROOT = Path(__file__).parents[2]
SHORT = {
    "starts": {"rounds": 1, "starts": 6},
    "clients": {"clients": 10, "turns": 1},
    "kills": {"kills": 2},
    "chaos": {"minutes": 0.05},
    "deletes": {"minutes": 0.17, "owned": 500, "editors": 0},
    "frames": {"frames": 800},
    "hostile": {"share": 60, "served": 2_000},
    "memory": {"warm": 5, "captures": 20, "growth": 10},
    "files": {"files": 1_000},
    "scan": {"traces": 200},
}


@pytest.mark.parametrize("name", TESTS)
def test_in_short(name):
    options = {flag: default for flag, default, _ in FLAGS} | SHORT[name]
    report = TESTS[name](argparse.Namespace(**options))
    assert report.failures == []
    assert report.figures


def test_as_a_command():
    command = [sys.executable, "-m", "tests.stress", "scan", "--traces"]
    done = subprocess.run([*command, "20"], capture_output=True, text=True, cwd=ROOT, check=True)
    figures, end = json.JSONDecoder().raw_decode(done.stdout.removeprefix("scan "))
    assert (figures["traces"], done.stdout[-4:]) == (20, " ok\n"), end


def test_a_failure_fails_the_command(monkeypatch, capsys):
    monkeypatch.setitem(TESTS, "scan", lambda options: Report({"seed": options.seed}, ["it broke"]))
    monkeypatch.setattr(sys, "argv", ["stress", "scan", "--seed", "3"])
    assert main() == 1
    assert capsys.readouterr().out.startswith('scan {"seed": 3} 0.0 s FAILED: it broke')


def test_what_is_lost_or_not_readable_in_a_listing_is_seen():
    report = Report()
    check_rows([{"trace_id": "a", "readable": True}, {"trace_id": "half", "readable": False}], {"a", "lost"}, report)
    assert report.failures == ["half is listed but not readable", "lost was answered and is not listed"]


def test_what_is_lost_half_or_left_over_is_seen():
    report = Report()
    with ground() as here:
        folder = here.settings.traces_dir
        whole = TraceStorage(folder).create_trace(*example(1))
        (folder / "half.json").write_bytes((folder / f"{whole}.json").read_bytes()[:500])
        (folder / "other").touch()
        here.run_folder.path.mkdir()
        here.run_folder.socket.touch()
        with subprocess.Popen(["sleep", "60"], env=here.environment) as stray:
            until(lambda: bool(here.processes()), "its environment is to be seen")  # for a moment it has none yet
            look_at_remains(here, [whole, "lost"], report)
            stray.kill()
    assert [failure.split(":")[0] for failure in report.failures] == [
        "processes are left over",
        "the socket is left over",
        "half is not whole",
        "lost was answered and is lost",
        "other files in the traces folder",
    ]


def test_only_whole_lines_are_answers():
    text = '{"jsonrpc": "2.0", "id": 1, "result": {"trace_id": "trace_b"}}\ntrace_a\n{"x": 1}\nnoise\n[1]\ntrace_half'
    assert answers_in(text) == ["trace_b", "trace_a"]
