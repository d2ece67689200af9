"""`nanoscope diff`: what differs most between two traces."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import typer

from daemon.cli import model_b as on_model_b
from daemon.cli import trace_names
from daemon.cli.compare import signed
from daemon.cli.options import INTERRUPTED, TRACES, Daemon, Json, Trace, command, misused
from daemon.cli.output import Column, Waiting, notice, output, print_json, print_rows
from daemon.cli.questions import Estimate, print_estimate
from nanochat.analysis.characters import named
from nanochat.system.text import on_one_line, short_number

if TYPE_CHECKING:
    from protocol.types import DiffTracesResult, HeadDifference, SiteDifference, TokenDifference, TokenSide

SHOWN = 8
TOKENS = [
    Column("A", "right"),
    Column("token", gives_way=True),
    Column("bits", "right"),
    Column("B", "right"),
    Column("token", gives_way=True),
    Column("bits", "right"),
    Column("B − A", "right"),
]
HEADS = [
    Column("head"),
    Column("divergence", "right"),
    Column("changed most", gives_way=True),
    Column("B − A", "right"),
]
SITES = [Column("site"), Column("cosine distance", "right"), Column("length", "right"), Column("of A's", "right")]
Row = TypeVar("Row")
Other = Annotated[
    str | None,
    typer.Argument(metavar="OTHER", help="B, named as TRACE is.", autocompletion=trace_names.complete),
]


@command("diff", panel=TRACES)
def diff(
    daemon: Daemon,
    trace: Trace,
    other: Other = None,
    *,
    model_b: Annotated[str | None, typer.Option(on_model_b.FLAG, metavar="MODEL", help=on_model_b.HELP)] = None,
    edits: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="Interventions for B, as of `ablate`, or none; by default what A has."),
    ] = None,
    estimate: Estimate = False,
    as_json: Json = False,
) -> int:
    """What differs between two traces: where they part, then the tokens, heads and sites that differ most.

    With --model-b the second is made here: one prompt, two models. The model that the daemon holds stays.

    `compare` has all their tokens side by side. In a pipe: `parted` with the position, then a line for every `token`,
    `head` and `site` of both, the first word saying which, parted by tabs.
    """
    if (other is None) == (model_b is None):
        raise misused(on_model_b.FLAG, "Say what B is: either another trace, or a model to run A's prompt on.")
    if edits is not None and model_b is None:
        raise misused("--edits", "They are for a run: give --model-b, or see `nanoscope ablate`.")
    named = None if model_b is None else on_model_b.model_named(model_b)
    wanted = on_model_b.edits_wanted(edits)
    with daemon.client() as client:
        a, run = trace_names.find(client, trace), None
        if named is None or model_b is None:
            b = trace_names.find(client, other or "")
        else:
            on_model_b.check_named(client, named, model_b)
            run = on_model_b.run_on(client, a, named, wanted, estimate)
            if run is None:
                return INTERRUPTED
            b = run.trace_id
        with Waiting("comparing"):
            result = client.diff_traces(trace_id=a, other_id=b or a, estimate=estimate)
    if estimate:
        return print_estimate(result if run is None else on_model_b.whole_estimate(run, result), as_json)
    if as_json:
        print_json(result if run is None else {"other_id": b, "model": run.model, **msgspec.to_builtins(result)})
        return 0
    for text in result.notices:
        notice(text)
    if sys.stdout.isatty():
        for name, one in zip("AB", (a, b), strict=True):
            output().print(f"{name}  {one}", highlight=False, soft_wrap=True)
        _draw(result)
    else:
        print_rows([], [["parted", "" if result.parted_at is None else str(result.parted_at)]])
        print_rows(TOKENS, [["token", *_token(row)] for row in result.tokens])
        print_rows(HEADS, [["head", *_head(row)] for row in result.heads])
        print_rows(SITES, [["site", *_site(row)] for row in result.sites])
    return 0


def _draw(result: DiffTracesResult) -> None:
    output().print(f"\n{_parted(result)}\n", soft_wrap=True)
    tokens = [row for row in result.tokens if row.difference]
    if found := _most(tokens, lambda row: abs(row.difference or 0.0)):
        caption = "the same tokens that surprised most differently; bits of surprisal"
        print_rows(TOKENS, [_token(row) for row in found], caption=caption)
    if found := _most(result.heads, lambda row: row.divergence or 0.0):
        print_rows(HEADS, [_head(row) for row in found], caption="the heads that look most differently, in bits")
    if found := _most(result.sites, lambda row: row.cosine or 0.0):
        print_rows(SITES, [_site(row) for row in found], caption="the sites that differ most")


def _most(rows: list[Row], size: Callable[[Row], float]) -> list[Row]:
    return sorted((row for row in rows if size(row) > 0), key=size, reverse=True)[:SHOWN]


def _parted(result: DiffTracesResult) -> str:
    at = result.parted_at
    if at is None:
        return "Their tokens are the same."
    a, b = ([row.a for row in result.tokens], [row.b for row in result.tokens])
    return f"They part at position {at}: {_word(a, at)} in A, {_word(b, at)} in B."


def _word(sides: list[TokenSide | None], position: int) -> str:
    found = [side.text for side in sides if side is not None and side.position == position]
    return on_one_line(repr(found[0])) if found else "the end"


def _token(row: TokenDifference) -> list[Any]:
    return [*_side(row.a), *_side(row.b), "" if row.difference is None else signed(row.difference)]


def _side(side: TokenSide | None) -> list[str]:
    if side is None:
        return ["", "", ""]
    return [str(side.position), on_one_line(named(side.text)), short_number(side.surprisal)]


def _head(row: HeadDifference) -> list[str]:
    key = max(row.numbers, key=lambda name: abs(row.numbers[name]), default=None)
    name = f"{row.layer}.{row.head}" + (f" / {row.other_layer}.{row.head}" if row.other_layer != row.layer else "")
    changed = ["", ""] if key is None else [key, f"{row.numbers[key]:+.3f}"]
    return [name, "" if row.divergence is None else f"{row.divergence:.3f}", *changed]


def _site(row: SiteDifference) -> list[str]:
    beside = f" / {row.other_layer}" if row.other_layer != row.layer else ""
    name = row.site if row.layer is None else f"{row.layer}{beside} {row.site}"
    return [name, *("" if value is None else f"{value:.4g}" for value in (row.cosine, row.norm, row.share))]
