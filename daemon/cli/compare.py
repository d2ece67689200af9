"""`nanoscope compare`: two traces side by side."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from daemon.cli import trace_names
from daemon.cli.options import TRACES, Daemon, Json, Trace, command
from daemon.cli.output import Column, output, print_json, print_rows
from nanochat.analysis.characters import label
from nanochat.system.text import on_one_line, short_number

if TYPE_CHECKING:
    from protocol.types import CompareTracesResult, LayerDivergence, PositionPair, TokenRow

SHOWN_HEADS = 8
HEADS_CAPTION = "over the positions of both, in bits: 0 alike, 1 nothing shared"
COLUMNS = [
    Column("A", "right", spare=True),
    Column("token", gives_way=True),
    Column("bits", "right"),
    Column("B", "right", spare=True),
    Column("token", gives_way=True),
    Column("bits", "right"),
    Column("B − A", "right"),
]


@command("compare", panel=TRACES)
def compare(daemon: Daemon, trace: Trace, other: Trace, *, as_json: Json = False) -> int:
    """Two traces side by side: where their tokens belong together, and which heads look at them differently.

    In a pipe: a line for each position with position, token and bits in A, in B, and B − A, parted by tabs.
    """
    with daemon.client() as client:
        a, b = trace_names.find(client, trace), trace_names.find(client, other)
        result = client.compare_traces(trace_id=a, other_id=b)
        if as_json:
            print_json(result)
            return 0
        rows = [client.get_tokens(trace_id=one).tokens for one in (a, b)]
    if sys.stdout.isatty():
        for name, one in zip("AB", (a, b), strict=True):
            output().print(f"{name}  {one}", highlight=False, soft_wrap=True)
        output().print()
    print_rows(COLUMNS, [_row(pair, *rows) for pair in result.pairs], caption=_caption(result))
    if sys.stdout.isatty() and result.layers:
        output().print()
        print_rows([Column("head"), Column("divergence", "right")], _heads(result.layers), caption=HEADS_CAPTION)
    return 0


def _row(pair: PositionPair, a: list[TokenRow], b: list[TokenRow]) -> list[Any]:
    one = None if pair.a is None else a[pair.a]
    other = None if pair.b is None else b[pair.b]
    cells = [*_cells(one, pair.same), *_cells(other, pair.same)]
    bits = [row.surprisal for row in (one, other) if row is not None and row.surprisal is not None]
    return [*cells, signed(bits[1] - bits[0]) if pair.same and len(bits) == len("AB") else ""]


def signed(bits: float) -> str:
    """A difference, with its sign where it has one."""
    shown = f"{bits:+.2f}"
    return "0.00" if float(shown) == 0 else shown


def _cells(row: TokenRow | None, same: bool) -> list[Any]:
    from rich.text import Text

    if row is None:
        return ["", "", ""]
    name = label(row.text, row.piece)
    shown = Text(name, "" if same else "bold") if sys.stdout.isatty() else on_one_line(name)
    return [str(row.position), shown, short_number(row.surprisal)]


def _caption(result: CompareTracesResult) -> str:
    shared = sum(pair.same for pair in result.pairs)
    return f"{shared} of {len(result.pairs)} positions have the same token; bold: what differs"


def _heads(layers: list[LayerDivergence]) -> list[list[str]]:
    found = [
        (value, f"{row.layer}.{head}") for row in layers for head, value in enumerate(row.heads) if value is not None
    ]
    return [[name, f"{value:.3f}"] for value, name in sorted(found, reverse=True)[:SHOWN_HEADS]]
