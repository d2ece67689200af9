"""`nanoscope attribute`: who wrote a logit."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli import trace_names
from daemon.cli.options import WHY, Daemon, Json, Trace, command
from daemon.cli.output import Column, Waiting, output, print_line, print_rows
from daemon.cli.questions import Anyway, Estimate, is_printed
from nanochat.analysis.characters import named
from nanochat.system.text import on_one_line
from nanochat.why.words import writer

if TYPE_CHECKING:
    from protocol.types import AttributeLogitsResult, LogitComponent, TokenRow

COLUMNS = [Column("who"), Column("wrote", "right"), Column(""), Column("of it", gives_way=True)]
ROWS, SHOWN, BAR = 12, 3, 12
CAPTION = (
    "before the softcap, with the final norm's scale frozen: what each wrote itself, not what others made of it; heads "
    "by the tokens that they read, MLPs by their neurons"
)


@command("attribute", panel=WHY)
def attribute(
    daemon: Daemon,
    trace: Trace = "latest",
    *,
    at: Annotated[
        int | None,
        typer.Option(
            "--at", min=0, metavar="N", help="The position whose logit.", show_default="before the first token written"
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Whose logit. Mind the space.", show_default="the token that came"),
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Take the difference to this token's logit apart.")
    ] = None,
    rows: Annotated[int, typer.Option(min=0, metavar="N", help="So many of the strongest; 0: all.")] = ROWS,
    anyway: Anyway = False,
    estimate: Estimate = False,
    as_json: Json = False,
) -> int:
    """Who wrote a logit: the embedding, every head and every MLP, as a sum.

    In a pipe: a line for each part with kind, layer, head, neuron, part, value, and the value and the position of the
    strongest source, parted by tabs.
    """
    with daemon.client(model=True) as client, Waiting("taking the logit apart") as waiting:
        trace_id = trace_names.find(client, trace)
        tokens = client.get_tokens(trace_id=trace_id).tokens
        result = client.attribute_logits(
            trace_id=trace_id,
            position=_decisive(tokens) if at is None else at,
            token=token,
            against=against,
            anyway=anyway,
            estimate=estimate,
        )
        waiting.end()
    if is_printed(result, as_json):
        return 0
    if sys.stdout.isatty():
        _show(result, tokens, rows)
    else:
        for part in result.components:
            print_line("\t".join(map(str, _cells(part))))
    return 0


def _decisive(tokens: list[TokenRow]) -> int:
    """Where the first token that was written is decided; of a text without one, its last token."""
    written = next((row.position for row in tokens if row.generated), len(tokens) - 1)
    return max(0, written - 1)


def _cells(part: LogitComponent) -> list[Any]:
    places = ["" if place is None else place for place in (part.layer, part.head, part.neuron, part.part)]
    source = part.sources[0] if part.sources else None
    return [
        part.kind,
        *places,
        f"{part.value:.9g}",
        *(["", ""] if source is None else [f"{source.value:.9g}", source.position]),
    ]


def _show(result: AttributeLogitsResult, tokens: list[TokenRow], rows: int) -> None:
    assert result.total is not None and result.logit is not None and result.error is not None
    text = "".join(row.text for row in tokens[max(0, result.position - 7) : result.position + 1])
    whose = named(result.text) + ("" if result.against_text is None else f" − {named(result.against_text)}")
    heading = f"{whose} after {on_one_line(text)!r} (position {result.position})"
    output().print(heading, style="bold", soft_wrap=True)
    groups = sorted(_groups(result).items(), key=lambda item: -abs(_sum(item[1])))
    shown, rest = groups[: rows or None], groups[rows or len(groups) :]
    largest = max(abs(_sum(parts)) for _, parts in groups)
    lines = [[who, f"{_sum(parts):+.2f}", _bar(_sum(parts), largest), _inside(parts, tokens)] for who, parts in shown]
    if rest:
        value = sum(_sum(parts) for _, parts in rest)
        lines.append([f"{len(rest)} others", f"{value:+.2f}", _bar(value, largest), ""])
    lines.append(["together", f"{result.total:+.2f}", "", f"{result.logit:+.2f} after the softcap"])
    closes = f"is out by {result.error:.0e}" if result.error else "closes to the last digit"
    print_rows(COLUMNS, lines, caption=f"{CAPTION}; the sum {closes}")


def _groups(result: AttributeLogitsResult) -> dict[str, list[LogitComponent]]:
    """The components by who wrote them: a head's and an MLP's parts together, and all of the embedding's."""
    groups: dict[str, list[LogitComponent]] = {}
    for part in result.components:
        groups.setdefault(writer(part.kind, part.layer, part.head), []).append(part)
    return groups


def _sum(parts: list[LogitComponent]) -> float:
    return sum(part.value for part in parts)


def _bar(value: float, largest: float) -> str:
    """From the middle, to the left where it is negative."""
    filled = round(BAR * abs(value) / largest) if largest else 0
    return " " * (BAR - filled) + "▇" * filled if value < 0 else " " * BAR + "▇" * filled


def _inside(parts: list[LogitComponent], tokens: list[TokenRow]) -> str:
    """What is strongest within: the tokens that a head read, the neurons of an MLP."""
    found: dict[str, float] = {}
    for part in parts:
        if part.kind == "neuron":
            found[f"n{part.neuron}"] = part.value
        if part.kind == "head":
            for source in part.sources:
                name = f"{named(tokens[source.position].text)}@{source.position}"
                found[name] = found.get(name, 0.0) + source.value
    strongest = sorted(found.items(), key=lambda item: -abs(item[1]))[:SHOWN]
    return "  ".join(f"{name} {value:+.2f}" for name, value in strongest)
