"""`nanoscope`: its commands put together. typer makes options, help and completion of their types: said once."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from daemon import (  # importing them registers their commands
    command_capture,
    command_daemon,
    command_files,
    command_models,
    command_tensor,
    command_traces,
)
from daemon.command_options import app
from daemon.terminal_output import prepare_streams, say
from daemon.version import PACKAGE_VERSION, PROTOCOL_VERSION

COMMANDS = (command_capture, command_traces, command_tensor, command_files, command_models, command_daemon)


def _version(wanted: bool) -> None:
    if wanted:
        say(f"nanoscope {PACKAGE_VERSION}, protocol {PROTOCOL_VERSION}, Python {sys.version.split()[0]}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the versions and end.")
    ] = False,
) -> None:
    pass


def main() -> int:
    """Run the command in `sys.argv`; the exit status: 0, 1 for an error, 2 for misuse, 130 after Ctrl-C."""
    prepare_streams()
    try:
        app(prog_name="nanoscope")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return 0
