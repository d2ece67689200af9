"""What all commands have in common: settings, help, misuse, what they import."""

import re
import subprocess
import sys

import pytest
from rich.cells import cell_len

from daemon.settings import MODEL_SETTINGS, TABLE
from tests.daemon.commands import ROOT, in_terminal, run

COMMANDS = """capture list show lens attribute analyze summary tensor tokens export delete watch models load
start stop status sessions logs doctor serve stdio"""


@pytest.mark.usefixtures("daemon")
def test_a_wrong_setting_is_an_error() -> None:
    done = run("list", "--device", "toaster")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("error: device cannot be 'toaster' (--device)")


@pytest.mark.parametrize("columns", [80, 120])
def test_the_help_has_every_command(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    done = run("--help")
    assert done.status == 0
    panels = done.out.split("╭─ ")
    assert [panel.split()[0] for panel in panels[1:]] == ["Options", "Traces", "Why", "Models", "The"]
    for name in COMMANDS.split():
        assert f"\n│ {name} " in done.out
        own = run(name, "-h")
        assert (own.status, f" Usage: nanoscope {name} " in own.out) == (0, True)
        assert max(map(cell_len, own.out.splitlines())) <= columns
    assert "\n│ demo " in done.out
    assert run("demo", "--help").out.startswith("usage: nanoscope demo ")  # in its own words
    assert run("--version").out.startswith("nanoscope ")


def test_the_help_has_the_settings_and_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    own, shared = run("capture", "--help").out.split("╭─ Daemon and model ")
    assert "At most so many. " in own
    assert "[default: 256]" in own
    for name in ("traces_dir", *MODEL_SETTINGS):
        assert f"│ --{name.replace('_', '-')} " in shared
        assert TABLE[name].meaning in shared
    assert (
        "prompt, response, and why it cannot be read, parted by tabs." in run("list", "--help").out
    )  # not as the source
    assert "--queue-limit" in run("start", "--help").out
    assert "--queue-limit" not in own + shared


@pytest.mark.parametrize(("words", "status"), [(("--help",), 0), (("capture",), 2)])
def test_help_and_misuse_have_colours_in_terminals_alone(words: tuple[str, ...], status: int) -> None:
    colour = re.compile(r"\x1b\[(\d;)?3\dm")
    coloured, plain, piped = in_terminal(*words), in_terminal(*words, NO_COLOR="1"), run(*words)
    assert {coloured.status, plain.status, piped.status} == {status}
    assert colour.search(coloured.err)
    assert not colour.search(plain.err)
    assert "\x1b" not in piped.out + piped.err


def test_no_command_and_one_that_is_not() -> None:
    nothing = run()
    assert (nothing.status, nothing.out.strip()) == (2, run("--help").out.strip())
    assert "No such command 'no-such-command'" in run("no-such-command").misuse
    assert run("no-such-command").status == 2


def test_a_command_imports_no_other() -> None:
    needed = ("main", "models", "options", "output", "trace_names")
    code = "import sys\nfrom daemon.cli.main import main\nsys.argv = ['nanoscope', 'models', '-h']\nmain()\n"
    code += "sys.exit(','.join(name for name in sys.modules if name.startswith('daemon.cli.')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert set(done.stderr.strip().split(",")) == {f"daemon.cli.{name}" for name in needed}
