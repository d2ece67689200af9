"""How commands print: tables for people, tab-separated lines for pipes, JSON for programs, notices on stderr."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from nanochat.system.standard_streams import discard_output

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status
    from rich.table import Table
    from rich.text import Text

PIPE_COLUMNS = 100_000  # nothing is cut or wrapped where nobody can widen the window
INDENT = 2
GAP, LEAST = 2, 16  # columns between two cells; of a cell that gives way, at least
SPINNER_SECONDS = 0.3  # what is there sooner was not waited for


@dataclass(frozen=True)
class Column:
    """One column of a listing. Where the terminal is narrow, one that gives way is cut with …, a spare one left out."""

    title: str
    justify: Literal["left", "right"] = "left"
    gives_way: bool = False
    spare: bool = False


def prepare_streams() -> None:
    """A terminal without UTF-8 still gets its tables."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


@cache
def output() -> Console:
    """Standard output; in a pipe without colours, as wide as need be."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else PIPE_COLUMNS
    return Console(highlight=False, markup=False, emoji=False, width=width)


@cache
def notices() -> Console:
    """Standard error: what is said beside the result."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def print_line(line: str) -> None:
    """A line on stdout, as it is."""
    sys.stdout.write(f"{line}\n")


def print_json(value: Any) -> None:
    """One JSON value on stdout, indented where a person looks at it."""
    print_json_line(value, indent=INDENT if sys.stdout.isatty() else None)


def print_json_line(value: Any, *, indent: int | None = None) -> None:
    """One JSON value on stdout; all but ASCII is spelled out where the output is not in UTF-8."""
    from nanochat.system.from_outside import json_for

    encoded = msgspec.json.encode(value)
    if indent is not None:
        encoded = msgspec.json.format(encoded, indent=indent)
    print_line(json_for(sys.stdout, encoded.decode()))


def print_rows(columns: Sequence[Column], rows: Iterable[Sequence[Any]], *, caption: str = "") -> None:
    """A listing: a table in a terminal; elsewhere a line per row, its cells parted by tabs, without a heading.

    Args:
        rows: strings, or rich texts for cells with a style.
        caption: below the table.
    """
    if not sys.stdout.isatty():
        for row in rows:
            print_line("\t".join(map(str, row)))
        return
    from rich.cells import cell_len

    table, cells = new_table(), [list(row) for row in rows]
    natural = [
        max(map(cell_len, (column.title, *(str(row[index]) for row in cells)))) for index, column in enumerate(columns)
    ]
    widths = _fitted(columns, natural)
    for index, width in widths.items():
        column = columns[index]
        table.add_column(column.title, justify=column.justify, no_wrap=True, overflow="ellipsis", width=width)
    for row in cells:
        table.add_row(*(row[index] for index in widths))
    output().print(table)
    if caption:
        output().print(styled(caption, "dim"), soft_wrap=True)


def _fitted(columns: Sequence[Column], natural: Sequence[int]) -> dict[int, int]:
    """The widths of the columns that are shown: spare ones go, from the right; then the widest gives way first."""
    shown = list(range(len(columns)))
    least = [min(width, LEAST) if column.gives_way else width for column, width in zip(columns, natural, strict=True)]
    spare = [index for index in shown if columns[index].spare]
    while spare and sum(least[index] + GAP for index in shown) - GAP > output().width:
        shown.remove(spare.pop())
    widths = {index: natural[index] for index in shown}
    missing = sum(width + GAP for width in widths.values()) - GAP - output().width
    yielding = [index for index in shown if columns[index].gives_way]
    while missing > 0 and any(widths[index] > LEAST for index in yielding):
        widths[max(yielding, key=lambda index: widths[index])] -= 1
        missing -= 1
    return widths


def new_table() -> Table:
    """An empty table in the house's style: a line under the heading, no frame."""
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, GAP - 1, 0, 0), pad_edge=False)


def print_facts(facts: Iterable[tuple[str, Any]]) -> None:
    """Name and value, a line each; the names as wide as the widest."""
    pairs = [(name, value) for name, value in facts if value not in (None, "")]
    width = max((len(name) for name, _ in pairs), default=0)
    if not sys.stdout.isatty():
        for name, value in pairs:
            print_line(f"{name:<{width}}  {value}")
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
    from nanochat.system.text import printable

    notices().print(styled(printable(message), style), soft_wrap=True)


def error(message: str) -> None:
    """What went wrong, as a line on stderr."""
    from nanochat.system.text import printable

    message = printable(message)
    if not sys.stderr.isatty():
        sys.stderr.write(f"error: {message}\n")
        return
    from rich.text import Text

    notices().print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)


def output_problem() -> str | None:
    """Why stdout does not take what was printed, if it does not; it is not tried again."""
    try:
        sys.stdout.flush()
    except OSError as problem:
        discard_output()
        return f"The output cannot be written ({problem.strerror}): send it somewhere else."
    return None


class Waiting:
    """Shows what is awaited, on stderr and only if that is a terminal, and only if it takes a moment."""

    def __init__(self, message: str):
        self.message = message
        self._status: Status | None = None
        self._timer = threading.Timer(SPINNER_SECONDS, self._show)
        self._lock = threading.Lock()
        self._ended = not sys.stderr.isatty()

    def __enter__(self) -> Waiting:
        if not self._ended:
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()

    def update(self, message: str) -> None:
        """It is something else now."""
        with self._lock:
            self.message = message
            if self._status is not None:
                self._status.update(message)

    def end(self) -> None:
        """It has come. Harmless when repeated."""
        self._timer.cancel()
        with self._lock:
            self._ended, status, self._status = True, self._status, None
        if status is not None:
            status.stop()

    def _show(self) -> None:
        with self._lock:
            if not self._ended:
                self._status = notices().status(self.message)
                self._status.start()


def duration(seconds: float) -> str:
    """Seconds for a person, in at most two units."""
    whole = round(seconds)
    for size, unit, smaller_size, smaller in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit} {rest} {smaller}" if rest else f"{whole // size} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
