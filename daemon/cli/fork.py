"""`nanoscope fork`: another token in a trace's text, and on from there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli import trace_names
from daemon.cli.ablate import switched_off
from daemon.cli.capture import LiveText, follow, print_outcome, shape_of
from daemon.cli.options import INTERRUPTED, TRACES, Daemon, Json, Trace, command, misused
from daemon.cli.output import notice
from daemon.cli.questions import Estimate, print_estimate
from nanochat.system.text import on_one_line, shortened
from protocol.types import ForkTraceParams, ForkTraceResult, Intervention

if TYPE_CHECKING:
    from protocol.types import TokenRow

SHOWN = 100  # characters of what was and of what is


@command("fork", panel=TRACES)
def fork(
    daemon: Daemon,
    trace: Trace = "latest",
    *,
    at: Annotated[int, typer.Option("--at", min=1, metavar="N", help="The position of the token to replace.")],
    token: Annotated[int | None, typer.Option(min=0, metavar="ID", help="Put the token of this number there.")] = None,
    text: Annotated[str | None, typer.Option(metavar="TEXT", help="Or this text. Mind the space before it.")] = None,
    off: Annotated[
        list[str] | None,
        typer.Option("--off", metavar="HEAD", help="Without this head, 3.1, or 3.mlp, 3.attn; may be repeated."),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", "-n", min=0, metavar="N", help="At most so many after it.")
    ] = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="On this model, though another wrote the trace.")] = False,
    estimate: Estimate = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the response alone, when it is whole.")] = False,
    as_json: Json = False,
) -> int:
    """What would it have written after another word? Puts a token into a trace's text, and goes on from there.

    What is before it stays; seed and settings are the trace's. What comes is a trace of its own, which `diff` and
    `compare` set beside the first. `nanoscope tokens` has the positions.
    """
    from protocol.methods import FORK_TRACE

    if (token is None) == (text is None):
        raise misused("--token", "Say what to put there: either --token or --text.")
    shape = shape_of(as_json, quiet)
    interventions = [Intervention(op="zero", **what) for what in switched_off(off, "--off")] if off else None
    with daemon.client(model=True) as client:
        trace_id = trace_names.find(client, trace)
        was = client.get_tokens(trace_id=trace_id).tokens
        prompt = _prompt(was, at, f"<{token}>" if text is None else text)
        params = ForkTraceParams(
            trace_id=trace_id,
            position=at,
            token=token,
            text=text,
            interventions=interventions,
            max_tokens=max_tokens,
            anyway=anyway,
            estimate=estimate,
            stream=True,
        )
        if estimate:
            return print_estimate(client.call(FORK_TRACE, params), as_json)
        result: ForkTraceResult | None = follow(client, FORK_TRACE, params, LiveText(prompt, chat=False), shape)
        if result is None:
            return INTERRUPTED
        if shape != "json":
            _tell(was, client.get_tokens(trace_id=result.trace_id).tokens, result)
    return print_outcome(result, shape)


def _prompt(was: list[TokenRow], at: int, put: str) -> str:
    """What the fork goes on from; with what is put into it, where that is in the prompt."""
    kept = "".join(row.text for row in was[1:at] if not row.generated)
    return kept + put if at < len(was) and not was[at].generated else kept


def _tell(was: list[TokenRow], now: list[TokenRow], result: ForkTraceResult) -> None:
    """What was there, and what is."""
    touched = ", ".join(map(str, result.touched))
    edited = f"; positions touched: {touched}" if touched else ""
    same = " and the text is the same" if [row.id for row in was] == [row.id for row in now] else ""
    notice(f"forked from {result.parent} at position {result.position}{same}{edited}", "dim")
    if not same:
        notice(f"was {_from(was, result.position)}\nnow {_from(now, result.position)}", "dim")


def _from(rows: list[TokenRow], position: int) -> str:
    return on_one_line(repr(shortened("".join(row.text for row in rows[position:]), SHOWN)))
