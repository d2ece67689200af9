"""Patching effects as a picture: a line a layer, a cell a head or a position, coloured by how far a patch brings it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.color import Color
from rich.console import Group
from rich.style import Style
from rich.text import Text

from nanochat.terminal.tables import clipped

WIDTH = 8
LEGEND = (-0.5, -0.1, 0.0, 0.1, 0.5, 1.0)
TOWARDS, AWAY = (255, 150, 40), (70, 140, 255)  # of clean; orange and blue are told apart by nearly everybody
DARK = 24
BRIGHT = 0.5  # from this effect on the background is bright


def effect_color(effect: float) -> Color:
    """Orange towards the clean prompt, blue away from it, dark where nothing changes."""
    full = TOWARDS if effect >= 0 else AWAY
    share = min(abs(effect), 1.0) ** 0.5
    return Color.from_rgb(*(DARK + (channel - DARK) * share for channel in full))


def columns_in(width: int, rows: Sequence[str]) -> int:
    """How many columns fit beside the labels, at least one."""
    return max(1, (width - _label_width(rows)) // WIDTH)


def effects_picture(
    rows: Sequence[str], headings: Sequence[Sequence[str]], effects: Sequence[Sequence[float]]
) -> Group:
    """Lines of cells, each with its effect as a number.

    Args:
        rows: a label for each line.
        headings: lines above, of a text for each column.
        effects: (rows, columns).
    """
    width = _label_width(rows)
    lines = [Text(" " * width) + Text("").join(_cell(text, "dim") for text in heading) for heading in headings]
    for label, line in zip(rows, effects, strict=True):
        cells = [_cell(f"{effect:.2f}".rjust(WIDTH - 2), _style(effect)) for effect in line]
        lines.append(Text(set_cell_size(label, width), "dim") + Text("").join(cells))
    legend = Text(set_cell_size("effect", width), "dim")
    for effect in LEGEND:
        legend.append(f" {effect:g} ", _style(effect))
    legend.append("  0: as corrupted, 1: as clean", "dim")
    return Group(*lines, Text(""), legend)


def _label_width(rows: Sequence[str]) -> int:
    return max(map(cell_len, (*rows, "effect"))) + 1


def _cell(text: str, style: Style | str) -> Text:
    cell = Text(set_cell_size(clipped(text, WIDTH - 1), WIDTH - 1), style)
    cell.append(" ", "on default")
    return cell


def _style(effect: float) -> Style:
    return Style(color=Color.parse("#000000" if effect >= BRIGHT else "#ffffff"), bgcolor=effect_color(effect))
