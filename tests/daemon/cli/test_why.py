"""`nanoscope why` and `nanoscope heads`, on a real daemon."""

import json

import pytest

from tests.daemon.commands import in_terminal, run
from tests.daemon.running import running_daemon


@pytest.fixture(scope="module", autouse=True)
def trace():
    with running_daemon():
        words = ("capture", "one two three one two three one two", "-n", "3", "-t", "0", "--json")
        yield json.loads(run(*words).out)["trace_id"]


def test_a_line_for_each_with_the_command_that_shows_more(trace):
    rows = run("why").rows
    assert {len(row) for row in rows} == {3}
    assert [row[0] for row in rows[:4]] == ["sure", "else", "decided", "written_by"]
    assert rows[-1][0] == "flip"
    assert len(rows) <= 10
    for _, text, command in rows:
        assert text.endswith(".")
        assert command.startswith("nanoscope ") and (trace in command or command == "nanoscope heads")
    result = json.loads(run("why", trace, "--json").out)
    assert [[line["about"], line["text"], line["command"]] for line in result["lines"]] == rows


def test_the_commands_named_can_be_run(trace):
    import shlex

    for _, _, command in run("why").rows[:4]:
        assert run(*shlex.split(command)[1:]).status == 0


def test_a_terminal_sees_the_question_and_the_sentences(trace):
    shown = in_terminal("why", "--at", "12", columns=240).out
    lines = [line.rstrip() for line in shown.splitlines() if line.strip()]
    assert lines[0].startswith("Why 'ree' after '") and lines[0].endswith("(position 12)?")
    assert lines[1] == "It was 88% sure of 'ree' (ends ' three').  nanoscope tokens latest"
    assert any(
        line.startswith("Without head 2.0, which by habit looks one token back and did its work") for line in lines
    )
    assert lines[-1].startswith("One change is enough to flip the answer: switch off head 2.0")


def test_what_it_would_take_and_what_cannot_be(trace):
    assert [line.split()[0] for line in run("why", "--estimate").out.splitlines()] == ["forwards", "memory", "time"]
    done = run("why", "--at", "99")
    assert done.status == 1 and "no position 99" in done.err
    assert run("why", "--at", "-1").status == 2


def test_heads_by_their_habits(trace):
    rows = run("heads").rows
    assert len(rows) == 16 and {len(row) for row in rows} == {9}
    by_head = {f"{row[0]}.{row[1]}": row for row in rows}
    assert by_head["3.2"][-1] == "induction" and by_head["2.0"][-1] == "previous_token"
    assert float(by_head["2.0"][-2]) == pytest.approx(0.75, abs=0.03)
    result = json.loads(run("heads", "--json").out)
    assert [head["roles"] for head in result["heads"]] == [row[-1].split(",") if row[-1] else [] for row in rows]


@pytest.mark.parametrize("columns", [80, 140])
def test_a_terminal_sees_a_table_in_words(trace, columns):
    shown = in_terminal("heads", columns=columns).out
    (line,) = [line for line in shown.splitlines() if line.startswith("2.0 ")]
    assert "75%" in line and "looks one" in line
    assert "of which it foretells 100% with all heads" in " ".join(shown.split())
