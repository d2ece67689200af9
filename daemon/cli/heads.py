"""`nanoscope heads`: what every head of the model does by habit."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.options import WHY, Daemon, Json, command
from daemon.cli.output import Column, Waiting, print_json, print_rows, styled
from nanochat.system.text import share as percentage
from nanochat.system.text import short_probability

if TYPE_CHECKING:
    from protocol.types import HeadHabit, ScanHeadsResult

STYLES = {
    "previous_token": "cyan",
    "induction": "bold magenta",
    "duplicate_token": "yellow",
    "sink": "dim",
    "current_token": "green",
}
TITLES = {"previous_token": "previous", "duplicate_token": "duplicate", "current_token": "itself"}
NEEDED = 0.99  # of what the model foretells: a head without which it foretells less is set off


@command("heads", panel=WHY)
def heads(
    daemon: Daemon,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Without switching each head off.")] = False,
    as_json: Json = False,
) -> int:
    """What does each head do by habit? Roles of the model's heads, whatever a text says.

    Found on random tokens that repeat, and kept for as long as the model's weights are the same. In a pipe: a line for
    each head with layer, head, the scores, the share of repeated tokens that is foretold without it, and its roles,
    parted by tabs.
    """
    with daemon.client(model=True) as client, Waiting("looking at every head") as waiting:
        result = client.scan_heads(ablate=not quick)
        waiting.end()
    if as_json:
        print_json(result)
        return 0
    keys = [role.key for role in result.roles]
    columns = [
        Column("head"),
        *(Column(TITLES.get(key, key), "right") for key in keys),
        Column("without it", "right"),
        Column("by habit", gives_way=True),
    ]
    if sys.stdout.isatty():
        print_rows(columns, [_row(head, result) for head in result.heads], caption=_caption(result))
    else:
        print_rows(columns, [_line(head, keys) for head in result.heads])
    return 0


def _line(head: HeadHabit, keys: list[str]) -> list[Any]:
    scores = [f"{head.scores[key]:.6g}" for key in keys]
    accuracy = "" if head.accuracy is None else f"{head.accuracy:.6g}"
    return [head.layer, head.head, *scores, accuracy, ",".join(head.roles)]


def _row(head: HeadHabit, result: ScanHeadsResult) -> list[Any]:
    words = {role.key: role.words for role in result.roles}
    scores = [
        styled(short_probability(head.scores[key]), STYLES.get(key, "") if key in head.roles else "dim")
        for key in words
    ]
    needed = head.accuracy is not None and head.accuracy < NEEDED * result.accuracy
    accuracy = styled(percentage(head.accuracy), "bold red" if needed else "dim")
    habit = "; ".join(words[key] for key in head.roles)
    style = STYLES.get(head.roles[0], "") if head.roles else ""
    return [styled(f"{head.layer}.{head.head}", style), *scores, accuracy, styled(habit, style)]


def _caption(result: ScanHeadsResult) -> str:
    return (
        "mean attention weight where each role looks, on random tokens that repeat; without it: repeated tokens that "
        f"the model still foretells, of which it foretells {percentage(result.accuracy)} with all heads"
    )
