"""What a shell needs to complete `nanoscope`: its script, and where the shell looks for it."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

PROGRAM, VARIABLE = "nanoscope", "_NANOSCOPE_COMPLETE"
DATA, CONFIG = ("XDG_DATA_HOME", "~/.local/share"), ("XDG_CONFIG_HOME", "~/.config")
PLACES = {  # where each shell finds scripts of a program's name on its own
    "bash": (DATA, f"bash-completion/completions/{PROGRAM}"),
    "zsh": (DATA, f"zsh/site-functions/_{PROGRAM}"),
    "fish": (CONFIG, f"fish/completions/{PROGRAM}.fish"),
}
NOTES = {
    "bash": "It needs the package bash-completion.",
    "zsh": "Put its folder into fpath, in ~/.zshrc before compinit: fpath=({folder} $fpath)",
    "fish": "",
}


def script() -> str:
    """The script for the shell that is in use. Raises click.UsageError where it is none of the known."""
    from daemon.command_line import app

    maker = get_completion_class(_shell())
    assert maker is not None
    return maker(app, {}, PROGRAM, VARIABLE).source()


def install() -> str:
    """Write the script to where the shell looks; what was done, for the user. Raises click.UsageError, OSError."""
    shell = _shell()
    (variable, fallback), name = PLACES[shell]
    path = Path(os.environ.get(variable) or fallback).expanduser() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script(), encoding="utf-8")
    return f"Written to {path}; begin a new shell. {NOTES[shell].format(folder=path.parent)}".rstrip()


def _shell() -> str:
    shell = Path(os.environ.get("SHELL", "")).name
    if shell not in PLACES:
        raise click.UsageError(f"SHELL is {shell!r}: completion is for {', '.join(PLACES)}.")
    return shell
