"""`nanoscope patch`, on a real daemon."""

import json

import pytest
from rich.cells import cell_len

from tests.daemon.commands import in_terminal, run
from tests.daemon.running import running_daemon

PROMPTS = ("The capital of France is", "The capital of Norway is")
ASKED = (*PROMPTS, "--answer", " P", "--against", " O")


@pytest.fixture(scope="module", autouse=True)
def daemon():
    with running_daemon():
        yield


def test_a_line_for_each_cell():
    result = json.loads(run("patch", *ASKED, "--json").out)
    rows = run("patch", *ASKED).rows
    assert len(rows) == 16
    assert rows[14][:2] == ["3", "2"]
    assert float(rows[14][2]) == pytest.approx(result["effects"][3][2], abs=1e-5)


@pytest.mark.parametrize("columns", [60, 120])
def test_a_terminal_sees_a_heat_map_and_the_strongest_in_words(columns):
    shown = in_terminal("patch", *ASKED, columns=columns).out
    lines = [line for line in shown.splitlines() if line.strip()]
    assert lines[0].startswith("·P − ·O: +10.06 after the clean prompt, -8.81 after the corrupted")
    assert lines[1].split() == ["head", "0", "head", "1", "head", "2", "head", "3"]
    assert lines[5].split()[:2] == ["layer", "3"]
    assert " 81.5% of the way  head 3.2, at all positions" in lines
    assert max(map(cell_len, lines[1:7])) <= columns


def test_positions_have_the_tokens_of_both_prompts():
    shown = in_terminal("patch", *ASKED, "--what", "residual", "--layer", "3", columns=120).out
    assert "Before position 4 the prompts are the same" in shown
    assert "the stream that layer 3 reads at position 6 (ce, not ay)" in shown


def test_an_approximation_is_called_one():
    done = run("patch", *ASKED, "--method", "gradient")
    result = json.loads(run("patch", *ASKED, "--method", "gradient", "--json").out)
    assert (result["method"], len(result["checked"])) == ("gradient", 4)
    assert 0 < result["worst_error"] < 1
    assert len(done.rows) == 16
    assert "These are approximations" in done.err
    assert "approximations" not in run("patch", *ASKED).err


def test_paths_and_prompts_of_traces():
    to = ("--what", "paths", "--to", "3.2.v")
    ids = [json.loads(run("capture", prompt, "-n", "0", "--json").out)["trace_id"] for prompt in PROMPTS]
    rows = run("patch", *ASKED, *to).rows
    assert len(rows) == 12
    assert run("patch", "--traces", *ids, *ASKED[2:], *to).rows == rows


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--what", "paths"), 2, "paths lead to a head"),
        (("--to", "3.2.v"), 2, "paths lead to a head"),
        (("--what", "paths", "--to", "3.2.w"), 2, "write 3.2.v"),
        (("--layer", "4"), 1, "no layer 4"),
    ],
)
def test_what_cannot_be_patched(words, status, said):
    done = run("patch", *ASKED, *words)
    assert done.status == status
    assert said in " ".join(done.err.split())


def test_unlike_lengths_and_what_it_would_take():
    done = run("patch", PROMPTS[0], "The capital", *ASKED[2:])
    assert done.status == 1
    assert "  2  ·capital  ·capital\n  3  ·of       " in done.err
    assert [line.split()[0] for line in run("patch", *ASKED, "--estimate").out.splitlines()] == [
        "forwards",
        "memory",
        "time",
    ]
