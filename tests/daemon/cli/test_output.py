"""Listings that fit, words for durations, spinners that do not flash."""

import io
import sys
import threading

import pytest
from rich.cells import cell_len

from daemon.cli import output as terminal_output
from daemon.cli.output import Column, Waiting, duration, print_facts, print_rows
from tests.daemon.commands import ESCAPES


class FakeTerminal(io.StringIO):
    """Takes itself for a terminal."""

    def isatty(self) -> bool:
        return True

    @property
    def plain(self) -> str:
        """What was written, without colours."""
        return ESCAPES.sub("", self.getvalue())


def terminal_of(columns: int, monkeypatch: pytest.MonkeyPatch) -> FakeTerminal:
    """Both outputs of the test that calls it."""
    shown = FakeTerminal()
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, shown)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    for cached in (terminal_output.output, terminal_output.notices):
        cached.cache_clear()
    return shown


COLUMNS = (
    Column("id"),
    Column("kind", gives_way=True, spare=True),
    Column("n", "right", spare=True),
    Column("text", gives_way=True),
)


@pytest.mark.parametrize(
    ("columns", "shown"), [(80, ["id", "kind", "n", "text"]), (44, ["id", "kind", "n", "text"]), (24, ["id", "text"])]
)
def test_wide_texts_give_way_then_spare_columns(
    columns: int, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = terminal_of(columns, monkeypatch)
    print_rows(COLUMNS, [["a1", "short", "7", "word " * 20], ["b2", "", "12", "国" * 30]])
    lines = terminal.plain.splitlines()
    assert max(map(cell_len, lines)) <= columns
    assert lines[0].split() == shown
    assert [line.split()[0] for line in lines[2:]] == ["a1", "b2"]
    assert lines[2].rstrip().endswith("…")


def test_what_fits_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_of(40, monkeypatch)
    print_rows(COLUMNS, [["a1", "short", "7", "word"]], caption="one")
    assert [line.rstrip() for line in terminal.plain.splitlines()] == [
        "id  kind   n  text", "──────────────────", "a1  short  7  word", "one"
    ]  # fmt: skip


def test_pipes_get_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(COLUMNS, [["a1", "short", "7", "word " * 20]], caption="not here")
    print_facts([("a", 1), ("long", "x"), ("empty", ""), ("none", None)])
    assert capsys.readouterr().out == f"a1\tshort\t7\t{'word ' * 20}\na     1\nlong  x\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (10.4, "10 s"), (59.6, "1 min"), (125, "2 min 5 s"), (7200, "2 h"),
     (90_061, "1 d 1 h")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_what_comes_at_once_was_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_of(40, monkeypatch)
    with Waiting("for nothing"):
        pass
    assert terminal.getvalue() == ""


def test_what_takes_a_moment_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_of(40, monkeypatch)
    monkeypatch.setattr(terminal_output, "SPINNER_SECONDS", 0.0)
    shown = threading.Event()

    def write(text: str) -> int:
        if "the model" in text:
            shown.set()
        return io.StringIO.write(terminal, text)

    monkeypatch.setattr(terminal, "write", write)
    with Waiting("the model") as waiting:
        assert shown.wait(8)
        waiting.update("the queue")
    assert "the queue" in terminal.plain
