"""`nanoscope`: its commands by name, each in a file that is imported when it is called for."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from daemon.cli.options import FAILED, LOOK, REGISTERED
from daemon.cli.output import error, output_problem, prepare_streams
from daemon.version import PACKAGE_VERSION, PROTOCOL_VERSION
from nanochat.system.interrupts import forget_interrupt

FILES = {  # command to file, in the order of the help
    "demo": "demo",
    "capture": "capture",
    "ablate": "ablate",
    "fork": "fork",
    "list": "traces",
    "show": "show",
    "analyze": "traces",
    "summary": "traces",
    "tokens": "traces",
    "tensor": "tensor",
    "compare": "compare",
    "diff": "diff",
    "why": "why",
    "lens": "lens",
    "attribute": "attribute",
    "heads": "heads",
    "patch": "patch",
    "watch": "files",
    "export": "files",
    "delete": "files",
    "models": "models",
    "load": "models",
    "start": "daemon",
    "stop": "daemon",
    "status": "daemon",
    "sessions": "daemon",
    "logs": "daemon",
    "doctor": "daemon",
    "serve": "daemon",
    "stdio": "daemon",
}
VERSION = f"nanoscope {PACKAGE_VERSION}, protocol {PROTOCOL_VERSION}, Python {sys.version.split()[0]}"
HELP = (
    "See inside a nanochat model while it writes; every generation is kept as a trace.\n\n"
    "One daemon holds the model for all clients. It starts with the first command that needs it, and ends when nobody "
    "has used it for a while."
)


class Commands(typer.core.TyperGroup):
    """All commands; a command's file is imported when the command is called for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(FILES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in FILES:
            return None
        import_module(f"daemon.cli.{FILES[cmd_name]}")
        return typer.main.get_command(REGISTERED[cmd_name])


app = typer.Typer(cls=Commands, help=HELP, no_args_is_help=True, **LOOK)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(VERSION)
        raise typer.Exit


@app.callback()
def nanoscope(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the versions and end.")
    ] = False,
) -> None:
    """What may stand before a command."""


def main() -> int:
    """Run the command in `sys.argv`; the exit status: 0, 1 for an error, 2 for misuse, 130 after Ctrl-C."""
    prepare_streams()
    try:
        app(prog_name="nanoscope")
        sys.stdout.flush()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else FAILED
    except OSError as problem:  # of what typer prints by itself
        error(output_problem() or str(problem))
        return FAILED
    finally:
        forget_interrupt()
    return 0
