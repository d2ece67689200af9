"""`nanoscope why`: why the model said a token, in ten lines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli import trace_names
from daemon.cli.options import WHY, Daemon, Json, Trace, command
from daemon.cli.output import Waiting, output, print_line
from daemon.cli.questions import Anyway, Estimate, is_printed
from nanochat.system.text import on_one_line

if TYPE_CHECKING:
    from protocol.types import TokenRow, WhyResult

GAP = "  "
BEFORE = 12  # tokens of the text that the heading shows


@command("why", panel=WHY)
def why(
    daemon: Daemon,
    trace: Trace = "latest",
    *,
    at: Annotated[
        int | None,
        typer.Option(
            "--at",
            min=0,
            metavar="N",
            help="Ask about the token that this position foretells.",
            show_default="the written token that the model gave least, or the first",
        ),
    ] = None,
    anyway: Anyway = False,
    estimate: Estimate = False,
    as_json: Json = False,
) -> int:
    """Why did it say that? How sure it was, where it was decided, who wrote it, what it hangs on, what flips it.

    Each line names the command that shows more. In a pipe: a line for each with what it is about, the sentence and the
    command, parted by tabs.
    """
    with daemon.client(model=True) as client, Waiting("asking the model") as waiting:
        trace_id = trace_names.find(client, trace)
        rows = client.get_tokens(trace_id=trace_id).tokens
        result = client.why(trace_id=trace_id, position=at, anyway=anyway, estimate=estimate)
        waiting.end()
    if is_printed(result, as_json):
        return 0
    if sys.stdout.isatty():
        _tell(result, rows, (trace_id, trace))
    else:
        for line in result.lines:
            print_line(f"{line.about}\t{line.text}\t{line.command}")
    return 0


def _tell(result: WhyResult, rows: list[TokenRow], names: tuple[str, str]) -> None:
    """The commands name the trace as it was asked for; one that does not fit beside its sentence stands below it."""
    from rich.text import Text

    position = result.position
    text = "".join(row.text for row in rows[max(0, position + 1 - BEFORE) : position + 1])
    said = "" if result.text is None else f"'{on_one_line(result.text)}' "
    output().print(f"Why {said}after '{on_one_line(text)}' (position {position})?", style="bold", soft_wrap=True)
    for line in result.lines:
        sentence, shows = Text(on_one_line(line.text)), Text(line.command.replace(*names), "dim cyan")
        fits = sentence.cell_len + len(GAP) + shows.cell_len <= output().width
        output().print(Text.assemble(sentence, GAP, shows) if fits else sentence)
        if not fits:
            output().print(Text.assemble(GAP, shows), soft_wrap=True)
