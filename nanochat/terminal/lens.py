"""The logit lens as a picture: a column a position, a line a point of the stream, each cell its likeliest token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.color import Color
from rich.console import Group
from rich.style import Style
from rich.text import Text

from nanochat.analysis.characters import named
from nanochat.terminal.heat_map import weight_color
from nanochat.terminal.tables import clipped

CELL, GAP = 8, 1
BRIGHT = 0.5  # from this probability on the background is bright
LEGEND = (0.01, 0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Cell:
    """The likeliest token at a point, its probability, and whether it is the one that came."""

    text: str
    probability: float
    came: bool


def columns_in(width: int, labels: Sequence[str]) -> int:
    """How many positions fit beside the labels, at least one."""
    return max(1, (width - _label_width(labels)) // (CELL + GAP))


def lens_picture(
    positions: Sequence[int], heads: Sequence[str], labels: Sequence[str], rows: Sequence[Sequence[Cell]]
) -> Group:
    """Lines of cells, coloured by probability.

    Args:
        positions: a column each.
        heads: the tokens that stand there.
        labels: a point a line.
        rows: the cells of each point.
    """
    width = _label_width(labels)
    lines = [Text(" " * width) + Text("").join(_padded(str(position), "dim") for position in positions)]
    lines += [Text(" " * width) + Text("").join(_padded(named(head), "bold") for head in heads)]
    for label, row in zip(labels, rows, strict=True):
        cells = [_padded(named(cell.text), _style(cell)) for cell in row]
        lines.append(Text(set_cell_size(label, width), "dim") + Text("").join(cells))
    legend = Text(set_cell_size("probability", width), "dim")
    for probability in LEGEND:
        legend.append(f" {probability:g} ", _style(Cell("", probability, False)))
    legend.append("  underlined: the token that came", "dim")
    return Group(*lines, Text(""), legend)


def _label_width(labels: Sequence[str]) -> int:
    return max(map(cell_len, (*labels, "probability"))) + GAP


def _padded(text: str, style: Style | str) -> Text:
    cell = Text(set_cell_size(clipped(text, CELL), CELL), style)
    cell.append(" " * GAP, "not underline on default")
    return cell


def _style(cell: Cell) -> Style:
    color = Color.parse("#000000" if cell.probability >= BRIGHT else "#ffffff")
    return Style(color=color, bgcolor=weight_color(cell.probability), underline=cell.came)
