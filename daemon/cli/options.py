"""What every command shares: the settings as options, a way to the daemon, and how a command fails."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli import trace_names
from daemon.cli.output import Waiting, error, notice, output_problem
from daemon.settings import MODEL_SETTINGS, TABLE, Row, Settings, load_settings, own_folder, settings_of_a_daemon
from nanochat.errors import NanoscopeError
from nanochat.system.current_folder import explained
from nanochat.system.standard_streams import discard_output
from protocol.errors import RpcError

if TYPE_CHECKING:
    from daemon.client.sync import Client

MODEL_FLAGS = (*MODEL_SETTINGS, "base_dir")
PLACE_FLAGS = ("traces_dir", "runtime_dir")
ALL_FLAGS = tuple(TABLE)
PANEL = "Daemon and model"
TRACES, WHY, MODELS, DAEMON = "Traces", "Why it said that", "Models", "The daemon"
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON value.")]
FAILED, MISUSED, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141
METAVARS = {"step": "N", "era": "ERA", "idle_timeout": "SECONDS", "queue_limit": "N", "format": "FORMAT"}
PATHS = ("traces_dir", "runtime_dir", "log_file", "base_dir")
LOOK: dict[str, Any] = {
    "context_settings": {"help_option_names": ["--help", "-h"]},
    "rich_markup_mode": "rich",
    "pretty_exceptions_enable": False,
}
REGISTERED: dict[str, typer.Typer] = {}
TRACE = typer.Argument(metavar="TRACE", help=trace_names.HELP, autocompletion=trace_names.complete)
Trace = Annotated[str, TRACE]


@dataclass(frozen=True)
class Daemon:
    """A command's way to the daemon.

    Args:
        flags: settings given on the command line.
    """

    flags: dict[str, str | None]

    @cached_property
    def loaded(self) -> tuple[Settings, dict[str, str]]:
        """The settings, and where each came from."""
        return load_settings(self.flags)

    @property
    def settings(self) -> Settings:
        """As flags, environment and config.toml say."""
        return self.loaded[0]

    def client(self, *, model: bool = False, as_told: bool = False) -> Client:
        """A client, to be used in a `with`; the daemon is started if need be.

        Args:
            model: the one that the settings name must answer; else whichever the daemon holds will do.
            as_told: a daemon that is started has the traces folder of the command line for its own.
        """
        from daemon.client.sync import Client
        from daemon.launch.connect import connect_or_start

        def connect() -> Any:
            with Waiting("reaching the daemon"):
                settings = self.settings if as_told else settings_of_a_daemon(self.flags)
                return connect_or_start(settings, "nanoscope")

        return Client(self.settings, name="nanoscope", traces_dir=self.own_folder(), connect=connect, names_model=model)

    def own_folder(self) -> str | None:
        """The traces folder that was asked for here; None: the daemon's own will do."""
        return own_folder(*self.loaded)

    def own_format(self) -> Any:
        """How traces are to be kept, as it is set here; None: as the daemon is set."""
        return None if self.loaded[1]["format"] == "default" else self.settings.format


def command(
    name: str, *, panel: str, flags: Iterable[str] = (*PLACE_FLAGS, *MODEL_FLAGS)
) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """Make a function a command: its first parameter is the Daemon, the rest are options and arguments.

    Args:
        panel: the heading in the help below which it stands.
        flags: the settings that it takes as options.
    """
    rows = [TABLE[flag] for flag in flags]

    def register(function: Callable[..., int | None]) -> Callable[..., int | None]:
        def run(**values: Any) -> None:
            given = {row.name: values.pop(row.name) for row in rows}
            raise typer.Exit(guarded(lambda: function(Daemon(given), **values)))

        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        run.__signature__ = inspect.Signature([*own, *map(_option, rows)])  # typer's options are made of it
        REGISTERED[name] = typer.Typer(add_completion=False, **LOOK)
        REGISTERED[name].command(name, help=_unwrapped(function), rich_help_panel=panel)(run)
        return function

    return register


def _unwrapped(function: Callable[..., Any]) -> str:
    """Its docstring, each paragraph on a line: terminals are not as wide as the source."""
    return "\n\n".join(" ".join(part.split()) for part in (inspect.getdoc(function) or "").split("\n\n"))


def _option(row: Row) -> inspect.Parameter:
    metavar = "PATH" if row.name in PATHS else METAVARS.get(row.name, row.name.rpartition("_")[2].upper())
    option = typer.Option(row.flag, help=row.meaning, metavar=metavar, rich_help_panel=PANEL)
    return inspect.Parameter(
        row.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option]
    )


def guarded(work: Callable[[], int | None]) -> int:
    """The exit status of a command: its own, or what the error that it ended with stands for."""
    try:
        status = work() or 0
        sys.stdout.flush()
        return status
    except (KeyboardInterrupt, typer.Abort):
        notice(("\n" if sys.stderr.isatty() else "") + "Interrupted.")
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has seen enough
        discard_output()
        return PIPE_CLOSED
    except (RpcError, NanoscopeError, OSError) as problem:
        error(output_problem() or explained(problem) or _sentence(problem))
        return FAILED


def _sentence(problem: Exception) -> str:
    """An error in words: those of the system have a number and quotes around the place."""
    if isinstance(problem, OSError) and problem.strerror and problem.filename is not None:
        return f"{os.fsdecode(problem.filename)} cannot be used ({problem.strerror})."
    return str(problem)


def misused(flag: str, message: str) -> typer.BadParameter:
    """The error of options that do not fit together: exit status 2."""
    return typer.BadParameter(message, param_hint=flag)
