"""`nanoscope demo`: the demo from anywhere. Its arguments are its own; it needs no daemon."""

from __future__ import annotations

from typing import Any

import typer

from daemon.cli.options import LOOK, REGISTERED, TRACES

OWN_WORDS: dict[str, Any] = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

REGISTERED["demo"] = typer.Typer(add_completion=False, **LOOK)


@REGISTERED["demo"].command("demo", rich_help_panel=TRACES, context_settings=OWN_WORDS)
def demo(context: typer.Context) -> None:
    """Write a little text in this process and show what the model did; --help has the options."""
    from nanochat.demo import command as demo_command

    raise typer.Exit(demo_command.main(context.args))
