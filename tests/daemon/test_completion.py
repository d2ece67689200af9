"""Scripts for shells, where the shells find them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.daemon.commands import run


@pytest.mark.parametrize(
    ("shell", "place", "part"),
    [
        ("bash", "data/bash-completion/completions/nanoscope", "complete -o nosort -F"),
        ("zsh", "data/zsh/site-functions/_nanoscope", "#compdef nanoscope"),
        ("fish", "config/fish/completions/nanoscope.fish", "complete --no-files --command nanoscope"),
    ],
)
def test_each_shell_gets_its_script(
    shell: str, place: str, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    shown = run("--show-completion")
    assert (shown.status, part in shown.out) == (0, True)
    done = run("--install-completion")
    assert done.out.startswith(f"Written to {tmp_path / place}; begin a new shell.")
    assert (tmp_path / place).read_text().rstrip() == shown.out.rstrip()
    if shutil.which(shell):
        subprocess.run([shell, "-n", str(tmp_path / place)], check=True)


def test_an_unknown_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    done = run("--install-completion")
    assert (done.status, "completion is for bash, zsh, fish" in done.err) == (2, True)
