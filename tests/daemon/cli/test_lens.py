"""`nanoscope lens`, on a real daemon."""

import json

import pytest
from rich.cells import cell_len

from tests.daemon.commands import in_terminal, run
from tests.daemon.running import running_daemon


@pytest.fixture(scope="module", autouse=True)
def trace():
    with running_daemon():
        yield json.loads(run("capture", "The capital of France is", "-n", "3", "-t", "0", "--json").out)["trace_id"]


def test_a_line_for_each_position_and_point(trace):
    rows = run("lens", trace).rows
    assert {len(row) for row in rows} == {10}
    assert len(rows) == 11 * 12
    assert [row[1:4] for row in rows if row[0] == "7"][-3:] == [
        ["3", "mlp", "false"],
        ["3", "mlp", "true"],
        ["", "output", ""],
    ]
    last = [row for row in rows if row[0] == "7"][-1]
    assert (last[4], last[6], last[8]) == ("·P", "·P", "1")
    assert run("lens", trace, "--at", "7").rows == [row for row in rows if row[0] == "7"]


def test_json_is_the_result(trace):
    result = json.loads(run("lens", "latest", "--at", "7", "--token", " N", "--json").out)
    chosen = result["points"][-1]["positions"][0]["chosen"]
    assert [row["text"] for row in chosen] == [" P", " N"]
    assert result["decided"][0]["first"] == {"layer": 3, "at": "mlp", "backout": True}


def test_a_terminal_sees_the_last_tokens_that_fit(trace):
    shown = in_terminal("lens").out
    lines = shown.splitlines()
    assert max(map(cell_len, lines)) <= 80
    assert [line.split()[0] for line in lines if line.strip()][2:4] == ["embedding", "0"]
    numbers, tokens = lines[0].split(), lines[1].split()
    assert numbers[-1] == "10"
    assert tokens[numbers.index("7")] == "·is"
    assert any(line.startswith("output") and "·P" in line for line in lines)
    assert "--at" in shown


def test_a_terminal_sees_one_position_in_full(trace):
    shown = in_terminal("lens", "--at", "7", columns=120).out
    assert "The capital of France is" in shown
    assert "·P leads from 3 mlp − backout on." in shown
    assert "#1" in shown


def test_what_it_would_take(trace):
    facts = run("lens", "--estimate").out
    assert [line.split()[0] for line in facts.splitlines()] == ["forwards", "memory", "time"]


def test_a_position_that_is_not_there(trace):
    done = run("lens", "--at", "40")
    assert done.status == 1
    assert "no position 40: there are 0 to 10" in done.err
