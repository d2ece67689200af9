"""`nanoscope lens`: what the residual stream would say at every point on its way."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli import trace_names
from daemon.cli.options import WHY, Daemon, Json, Trace, command
from daemon.cli.output import Column, Waiting, output, print_rows
from daemon.cli.questions import Anyway, Estimate, is_printed
from nanochat.analysis.characters import named
from nanochat.system.text import on_one_line, short_number, short_probability

if TYPE_CHECKING:
    from protocol.types import LensBelief, LogitLensResult, PointName, TokenRow

COLUMNS = [
    Column("after"),
    Column("likeliest", gives_way=True),
    Column("followed", gives_way=True),
    Column("KL", "right"),
]
CAPTION = "followed: the token that came, and those asked for, each with its probability and its rank; KL in nats"
At = Annotated[
    int | None, typer.Option("--at", min=0, metavar="N", help="What the stream says at this position alone, in full.")
]


@command("lens", panel=WHY)
def lens(
    daemon: Daemon,
    trace: Trace = "latest",
    *,
    at: At = None,
    token: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Follow this token too; may be repeated. Mind the space.")
    ] = None,
    anyway: Anyway = False,
    estimate: Estimate = False,
    as_json: Json = False,
) -> int:
    """What the model would have said at each layer, if the rest of it had added nothing: the logit lens.

    In a terminal the last tokens that fit, a column each. In a pipe: a line for each position and point, with position,
    layer, after what, whether without backout, the likeliest token and its probability, the token that came, its
    probability and rank, and the divergence in nats, parted by tabs.
    """
    with daemon.client(model=True) as client, Waiting("reading the stream") as waiting:
        trace_id = trace_names.find(client, trace)
        rows = client.get_tokens(trace_id=trace_id).tokens
        positions = [at] if at is not None else _shown(len(rows), as_json)
        result = client.logit_lens(
            trace_id=trace_id,
            positions=None if estimate and at is None else positions,
            tokens=list(token or ()),
            anyway=anyway,
            estimate=estimate,
        )
        waiting.end()
    if is_printed(result, as_json):
        return 0
    if not sys.stdout.isatty():
        print_rows(COLUMNS, _lines(result))
    elif at is None:
        _draw(result, rows)
    else:
        _tell(result, rows)
    return 0


def _shown(count: int, as_json: bool) -> list[int] | None:
    """The positions to read; None: all."""
    if as_json or not sys.stdout.isatty():
        return None
    from nanochat.terminal.lens import columns_in

    fitting = columns_in(output().width, ["10 attention"])
    return list(range(max(0, count - fitting), count))


def point_label(point: PointName) -> str:
    """A point for a line of a table."""
    label = point.at if point.layer is None else f"{point.layer} {point.at}"
    return f"{label} − backout" if point.backout else label


def _lines(result: LogitLensResult) -> list[list[str]]:
    found = []
    for point in result.points:
        for belief in point.positions:
            top = belief.top[0]
            came = belief.chosen[0] if belief.chosen else None
            found.append(
                [
                    str(belief.position),
                    "" if point.layer is None else str(point.layer),
                    point.at,
                    "" if point.backout is None else str(point.backout).lower(),
                    on_one_line(named(top.text)),
                    f"{top.probability:.6g}",
                    *(["", "", ""] if came is None else [on_one_line(named(came.text)), f"{came.probability:.6g}"]),
                    *([] if came is None else [str(came.rank)]),
                    f"{belief.kl:.6g}",
                ]
            )
    return sorted(found, key=lambda line: int(line[0]))


def _draw(result: LogitLensResult, rows: list[TokenRow]) -> None:
    from nanochat.terminal.lens import Cell, lens_picture

    shown = [point for point in result.points if point.backout is not False]
    positions = [belief.position for belief in shown[-1].positions]
    heads = [rows[position].text for position in positions]
    cells = [[Cell(b.top[0].text, b.top[0].probability or 0.0, _came(b, rows)) for b in p.positions] for p in shown]
    labels = [point_label(point).removesuffix(" − backout") for point in shown]
    output().print(lens_picture(positions, heads, labels, cells))
    decided = result.decided[-2] if len(result.decided) > 1 else result.decided[-1]
    output().print(f"--at {decided.position} shows one position in full.", style="dim")


def _came(belief: LensBelief, rows: list[TokenRow]) -> bool:
    following = belief.position + 1
    return following < len(rows) and rows[following].id == belief.top[0].token


def _tell(result: LogitLensResult, rows: list[TokenRow]) -> None:
    (decided,) = result.decided
    position = decided.position
    text = "".join(row.text for row in rows[max(0, position - 8) : position + 1])
    output().print(f"After {on_one_line(text)!r} (position {position})", style="bold", soft_wrap=True)
    lines: list[list[Any]] = []
    for point in result.points:
        (belief,) = point.positions
        top = "  ".join(f"{named(row.text)} {short_probability(row.probability)}" for row in belief.top)
        followed = "  ".join(f"{named(c.text)} {short_probability(c.probability)} #{c.rank}" for c in belief.chosen)
        lines.append([point_label(point), top, followed, short_number(belief.kl)])
    print_rows(COLUMNS, lines, caption=CAPTION)
    answer, first, stays = named(decided.text), point_label(decided.first), point_label(decided.stays)
    begins = "" if first == stays else f" first after {first}, and"
    output().print(f"{answer} leads{begins} from {stays} on.", soft_wrap=True)
