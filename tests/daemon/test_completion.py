"""Completion, as shells ask for it."""

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.daemon.commands import COMMAND, ROOT
from tests.daemon.running import DaemonProcess

Bash = Callable[[str], str]
STEERING = "\\$(touch here) `touch here` \\\"; touch here ' [/bold]: and more"  # what zsh and markup would act on


@pytest.fixture
def bash(tmp_path: Path) -> Bash:
    """Runs lines in a bash whose user has a home of their own and the command on their PATH."""
    program = tmp_path / "bin" / "nanoscope"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec env PYTHONPATH={ROOT} {shlex.join(COMMAND)} "$@"\n')
    program.chmod(0o755)

    def run(lines: str) -> str:
        environment = {**os.environ, "HOME": str(tmp_path), "PATH": f"{program.parent}:{os.environ['PATH']}"}
        done = subprocess.run(["bash", "-c", lines], env=environment, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout

    return run


def test_bash_has_it_installed_and_completes(bash: Bash, tmp_path: Path, daemon_process: DaemonProcess) -> None:
    made = daemon_process.call("generate_and_capture", {"prompt": "One", "max_tokens": 1})["trace_id"]
    script = tmp_path / ".bash_completions" / "nanoscope.sh"
    assert f"bash completion installed in {script}" in bash("nanoscope --install-completion; true")
    assert str(script) in (tmp_path / ".bashrc").read_text()
    assert bash("nanoscope --show-completion; true").strip() == script.read_text().strip()
    for words, completed in (
        ("show tr", [made]),
        ("delete latest l", ["latest"]),
        (f"show --traces-dir {tmp_path} tr", []),
        ("su", ["summary"]),
        ("load d", ["demo"]),
        ("export --to s", ["safetensors"]),
        ("status --se", ["--settings"]),
    ):
        asked = f"COMP_WORDS=(nanoscope {words}) COMP_CWORD={len(words.split())}"
        shown = bash(f'source {script}; {asked}; _nanoscope_completion nanoscope; echo "${{COMPREPLY[@]}}"')
        assert shown.split() == completed


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_what_describes_a_trace_steers_no_shell(shell: str, daemon_process: DaemonProcess) -> None:
    made = daemon_process.call("generate_and_capture", {"prompt": STEERING, "max_tokens": 0})["trace_id"]
    asked = {"_TYPER_COMPLETE_ARGS": "nanoscope show tr", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    asked["_NANOSCOPE_COMPLETE"] = f"complete_{shell}"
    done = subprocess.run(COMMAND, cwd=ROOT, env={**os.environ, **asked}, capture_output=True, text=True, check=True)
    described = "touch here touch here touch here bold a"  # no longer
    line = f'_arguments \'*: :(("{made}":"{described}"))\'' if shell == "zsh" else f"{made}\t{described}"
    assert (done.stdout, done.stderr) == (f"{line}\n", "")
