"""The first word decides who runs; stdio and serve do without the command line's libraries."""

import sys
from types import ModuleType

import pytest

from daemon import __main__ as entry


@pytest.fixture
def command_line(monkeypatch):
    """A command line that takes note."""
    seen = []
    module = ModuleType("daemon.cli.main")
    module.main = lambda: seen.append(sys.argv[1:])  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "daemon.cli.main", module)
    monkeypatch.setattr("daemon.cli.main", module, raising=False)
    return seen


@pytest.mark.parametrize("words", [[], ["status"], ["stdio", "--help"], ["serve", "-h"], ["list", "stdio"]])
def test_all_other_words_are_the_command_lines(command_line, monkeypatch, words):
    monkeypatch.setattr(sys, "argv", ["nanoscope", *words])
    assert entry.main() == 0
    assert command_line == [words]


def test_stdio_and_serve_are_not(command_line, monkeypatch):
    called = []
    monkeypatch.setattr("daemon.processes.take_stdout", lambda: 9)
    monkeypatch.setattr("daemon.launch.stdio.main", lambda words, output: called.append((words, output)) or 3)
    monkeypatch.setattr("daemon.server.private.main", lambda words, output: called.append((words, output)) or 5)
    monkeypatch.setattr("daemon.server.serving.main", lambda words: called.append(words) or 4)
    monkeypatch.setattr(sys, "argv", ["nanoscope", "stdio", "--tcp"])
    assert entry.main() == 3
    monkeypatch.setattr(sys, "argv", ["nanoscope", "stdio", "--private", "--tcp"])
    assert entry.main() == 5
    monkeypatch.setattr(sys, "argv", ["nanoscope", "serve", "--tcp"])
    assert entry.main() == 4
    assert called == [(["--tcp"], 9), (["--tcp"], 9), ["--tcp"]]
    assert command_line == []
