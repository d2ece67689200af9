"""`nanoscope compare`, on a real daemon."""

import json

import pytest
from rich.cells import cell_len

from tests.daemon.commands import in_terminal, run
from tests.daemon.running import running_daemon

GOLD, SILVER = "The symbol of gold is", "The symbol of silver is"


@pytest.fixture(scope="module")
def traces():
    with running_daemon():
        made = [json.loads(run("capture", text, "-n", "4", "-t", "0", "--json").out) for text in (GOLD, SILVER)]
        yield [trace["trace_id"] for trace in made]


def test_a_line_for_each_position(traces):
    rows = run("compare", *traces).rows
    assert [row[1] for row in rows[:6]] == ["<|bos|>", "The", "·symbol", "·of", "·gold", "·is"]
    assert [row[4] for row in rows[:6]] == ["<|bos|>", "The", "·symbol", "·of", "·silver", "·is"]
    assert [row[6] for row in rows[:5]] == ["", "0.00", "0.00", "0.00", ""]
    assert all(row[6] in ("", "0.00") for row in run("compare", traces[0], traces[0]).rows)
    assert [row[0] for row in run("compare", traces[1], traces[0]).rows[:6]] == list("012345")


def test_json_is_the_result(traces):
    result = json.loads(run("compare", *traces, "--json").out)
    assert result["pairs"][4] == {"a": 4, "b": 4, "same": False}
    assert [row["layer"] for row in result["layers"]] == [0, 1, 2, 3]
    assert all(0 < value < 1 for row in result["layers"] for value in row["heads"])


def test_a_terminal_sees_both_and_the_heads_that_differ_most(traces):
    shown = in_terminal("compare", *traces).out
    assert all(trace in shown for trace in traces)
    heads = [float(line.split()[1]) for line in shown.splitlines() if line[:1].isdigit() and line[1:2] == "."]
    assert len(heads) == 8
    assert heads == sorted(heads, reverse=True)
    assert max(map(cell_len, shown.splitlines())) <= 80


def test_one_that_is_not_there(traces):
    done = run("compare", traces[0], "trace_20000101")
    assert done.status == 1
    assert "trace_20000101" in done.err
