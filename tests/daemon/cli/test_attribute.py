"""`nanoscope attribute`, on a real daemon."""

import json
import math

import pytest
from rich.cells import cell_len

from tests.daemon.commands import in_terminal, run
from tests.daemon.running import running_daemon


@pytest.fixture(scope="module", autouse=True)
def trace():
    with running_daemon():
        yield json.loads(run("capture", "The capital of France is", "-n", "1", "-t", "0", "--json").out)["trace_id"]


def test_a_line_for_each_part_and_together_they_are_the_logit(trace):
    result = json.loads(run("attribute", trace, "--against", " N", "--json").out)
    rows = run("attribute", trace, "--at", "7", "--token", " P", "--against", " N").rows
    assert {len(row) for row in rows} == {8}
    assert [row[0] for row in rows[:3]] == ["embedding", "embedding", "x0"]
    assert math.fsum(float(row[5]) for row in rows) == pytest.approx(result["total"], abs=1e-6)
    assert result["total"] == pytest.approx(9.15, abs=0.005)


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_sees_the_strongest_first(trace, columns):
    shown = in_terminal("attribute", "--against", " N", "--rows", "4", columns=columns).out
    lines = [line for line in shown.splitlines() if line.strip()]
    assert lines[0].startswith("·P − ·N after '<|bos|>The capital of France is' (position 7)")
    assert lines[3].split()[:3] == ["MLP", "3", "+9.18"]
    assert lines[4].split()[:2] == ["backout", "-0.35"]
    assert any(line.split()[:2] == ["together", "+9.15"] and "+6.92 after the softcap" in line for line in lines)
    assert max(map(cell_len, lines[3:9])) <= columns


def test_unless_told_otherwise_it_is_about_the_first_token_written(trace):
    longer = json.loads(run("capture", "The capital of France is", "-n", "3", "-t", "0", "--json").out)["trace_id"]
    result = json.loads(run("attribute", longer, "--json").out)
    assert (result["position"], result["text"]) == (7, " P")
    run("delete", longer, "--yes")


def test_what_it_would_take(trace):
    assert [line.split()[0] for line in run("attribute", "--estimate").out.splitlines()] == [
        "forwards",
        "memory",
        "time",
    ]


def test_a_position_that_nothing_follows(trace):
    done = run("attribute", "--at", "8")
    assert done.status == 1
    assert "Nothing follows position 8" in done.err
