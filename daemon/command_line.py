"""`nanoscope`: its commands by name, each in a file that is imported when it is called for."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from daemon.command_options import DAEMON, MODELS, REGISTERED, TRACES
from daemon.declarations import CONTEXT, Command
from daemon.terminal_output import prepare_streams
from daemon.version import PACKAGE_VERSION, PROTOCOL_VERSION

FILES = {  # command to file, in the order of the help
    "capture": "command_capture",
    "list": "command_traces",
    "show": "command_show",
    "analyze": "command_traces",
    "summary": "command_traces",
    "tokens": "command_traces",
    "tensor": "command_tensor",
    "watch": "command_files",
    "export": "command_files",
    "delete": "command_files",
    "models": "command_models",
    "load": "command_models",
    "start": "command_daemon",
    "stop": "command_daemon",
    "status": "command_daemon",
    "sessions": "command_daemon",
    "logs": "command_daemon",
    "doctor": "command_daemon",
    "serve": "command_daemon",
    "stdio": "command_daemon",
}
SUMMARY = 200  # characters of a command in the list of all
VERSION = f"nanoscope {PACKAGE_VERSION}, protocol {PROTOCOL_VERSION}, Python {sys.version.split()[0]}"
HELP = """See inside a nanochat model while it writes; every generation is kept as a trace.

One daemon holds the model for all clients. It starts with the first command that needs it, and ends when nobody has
used it for a while."""


class Commands(click.Group):
    """All commands; the help shows them below their headings."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(FILES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> Command | None:
        if cmd_name in FILES:
            import_module(f"daemon.{FILES[cmd_name]}")
        return REGISTERED.get(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        found = [command for name in FILES if (command := self.get_command(ctx, name)) is not None]
        for panel in (TRACES, MODELS, DAEMON):
            rows = [(row.name or "", row.get_short_help_str(SUMMARY)) for row in found if row.panel == panel]
            with formatter.section(click.style(panel, bold=True)):
                formatter.write_dl(rows)


def _version(context: click.Context, param: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(VERSION)
        context.exit()


def _completion(context: click.Context, param: click.Parameter, wanted: bool) -> None:
    if wanted:
        from daemon.completion import install, script

        click.echo(install() if param.name == "install_completion" else script())
        context.exit()


OPTIONS = (
    click.Option(["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_version,
                 help="Print the versions and end."),
    click.Option(["--install-completion"], is_flag=True, is_eager=True, expose_value=False, callback=_completion,
                 help="Have the shell complete commands, options and traces (bash, zsh, fish)."),
    click.Option(["--show-completion"], is_flag=True, is_eager=True, expose_value=False, callback=_completion,
                 help="Print what the shell needs for that."),
)  # fmt: skip
app = Commands("nanoscope", help=HELP, params=list(OPTIONS), context_settings=CONTEXT, no_args_is_help=True)


def main() -> int:
    """Run the command in `sys.argv`; the exit status: 0, 1 for an error, 2 for misuse, 130 after Ctrl-C."""
    prepare_streams()
    try:
        app(prog_name="nanoscope")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return 0
