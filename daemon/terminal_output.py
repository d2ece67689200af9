"""How commands print: tables for people, tab-separated lines for pipes, JSON for programs, notices on stderr."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status
    from rich.table import Table
    from rich.text import Text

PIPE_COLUMNS = 100_000  # nothing is cut or wrapped where nobody can widen the window
INDENT = 2


@dataclass(frozen=True)
class Column:
    """One column of a listing. One that gives way is cut with … where the terminal is narrow; the others never are."""

    title: str
    justify: Literal["left", "right"] = "left"
    gives_way: bool = False


def prepare_streams() -> None:
    """A terminal without UTF-8 still gets its tables."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


@cache
def output() -> Console:
    """Standard output; in a pipe without colours, as wide as need be."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else PIPE_COLUMNS
    return Console(highlight=False, markup=False, emoji=False, width=width)


@cache
def notices() -> Console:
    """Standard error: what is said beside the result."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def say(line: str) -> None:
    """A line on stdout, as it is."""
    sys.stdout.write(f"{line}\n")


def print_json(value: Any) -> None:
    """One JSON value on stdout, indented where a person looks at it."""
    encoded = msgspec.json.encode(value)
    if sys.stdout.isatty():
        encoded = msgspec.json.format(encoded, indent=INDENT)
    say(encoded.decode())


def print_rows(columns: Sequence[Column], rows: Iterable[Sequence[Any]], *, caption: str = "") -> None:
    """A listing: a table in a terminal; elsewhere a line per row, its cells parted by tabs, without a heading.

    Args:
        rows: strings, or rich texts for cells with a style.
        caption: below the table.
    """
    if not sys.stdout.isatty():
        for row in rows:
            say("\t".join(map(str, row)))
        return
    table = new_table()
    for column in columns:
        table.add_column(
            column.title, justify=column.justify, no_wrap=True, overflow="ellipsis" if column.gives_way else "ignore"
        )
    for row in rows:
        table.add_row(*row)
    output().print(table)
    if caption:
        output().print(styled(caption, "dim"), soft_wrap=True)


def new_table() -> Table:
    """An empty table in the house's style: a line under the heading, no frame."""
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))


def print_facts(facts: Iterable[tuple[str, Any]]) -> None:
    """Name and value, a line each; the names as wide as the widest."""
    pairs = [(name, value) for name, value in facts if value not in (None, "")]
    width = max((len(name) for name, _ in pairs), default=0)
    if not sys.stdout.isatty():
        for name, value in pairs:
            say(f"{name:<{width}}  {value}")
        return
    from rich.text import Text

    for name, value in pairs:
        shown = value if isinstance(value, Text) else Text(str(value))
        output().print(Text.assemble((f"{name:<{width}}", "bold"), "  ", shown), soft_wrap=True)


def styled(text: str, style: str) -> Text:
    """A text of one style; commands that print to a pipe need not ask."""
    from rich.text import Text

    return Text(text, style)


def notice(message: str, style: str = "") -> None:
    """A line on stderr."""
    if not sys.stderr.isatty():
        sys.stderr.write(f"{message}\n")
        return
    from nanochat.text import printable

    notices().print(styled(printable(message), style), soft_wrap=True)


def error(message: str) -> None:
    """What went wrong, as a line on stderr."""
    from nanochat.text import printable

    message = printable(message)
    if not sys.stderr.isatty():
        sys.stderr.write(f"error: {message}\n")
        return
    from rich.text import Text

    notices().print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)


def waiting(message: str) -> AbstractContextManager[Status | None]:
    """Shows that something is awaited, on stderr and only if that is a terminal."""
    return notices().status(message, spinner="dots") if sys.stderr.isatty() else nullcontext()


def duration(seconds: float) -> str:
    """Seconds for a person, in at most two units."""
    whole = round(seconds)
    for size, unit, smaller_size, smaller in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit} {rest} {smaller}" if rest else f"{whole // size} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
