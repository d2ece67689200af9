"""One head's attention as a triangle in the terminal, its tokens down the diagonal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from rich.cells import cell_len, set_cell_size
from rich.color import Color
from rich.console import Group
from rich.style import Style
from rich.text import Text

from nanochat.terminal.color_map import color_of

DARKEST = 0.08
SHADE_STEPS = (0.01, 0.1, 0.25, 0.5)  # below the first: seen, but nearly unattended
SHADES = {"shades": "·░▒▓█", "ascii": ".-+*#"}
LEGEND = (0.01, 0.05, 0.25, 0.5, 1.0)
LABEL_WIDTH = 14  # columns kept free for the last rows' labels


@dataclass(frozen=True)
class Grid:
    """How positions become characters: `pool` positions a cell, `rows` cells a line, `columns` characters a cell."""

    pool: int
    rows: int
    columns: int


def weight_color(weight: float) -> Color:
    """The colour of an attention weight; the square root lets the small ones show, and no weight is quite black."""
    return color_of(DARKEST + (1 - DARKEST) * max(weight, 0.0) ** 0.5)


def shade_of(weight: float, shades: str) -> str:
    """The character for an attention weight; blank where the query does not see the key (exactly 0)."""
    return " " if weight == 0 else shades[sum(weight >= step for step in SHADE_STEPS)]


def choose_grid(positions: int, width: int, height: int, half_blocks: bool) -> Grid:
    """The finest grid that fits: square cells first, then smaller ones, then several positions a cell."""
    room = max(1, width - LABEL_WIDTH)
    small = Grid(1, 2, 1) if half_blocks else Grid(1, 1, 1)
    if positions <= height and 2 * positions <= room:
        return Grid(1, 1, 2)
    pool = max(-(-positions // room), -(-positions // (height * small.rows)), 1)
    return Grid(pool, small.rows, small.columns)


def pooled(weights: np.ndarray, size: int) -> np.ndarray:
    """The largest weight of every size x size square, (S, S) to (ceil(S / size), ceil(S / size))."""
    missing = -len(weights) % size
    padded = np.pad(weights, ((0, missing), (0, missing)))
    cells = len(padded) // size
    return padded.reshape(cells, size, cells, size).max(axis=(1, 3))


def heat_map(
    weights: np.ndarray,
    labels: Sequence[str],
    *,
    width: int,
    height: int,
    palette: str = "color",
    generated_from: int = 0,
) -> Group:
    """Attention weights as lines of coloured cells or shades: queries down, keys across.

    The triangle above the diagonal is empty, so each line ends in the tokens of its queries: read along the
    diagonal they are the text, and the token at a column's foot of the staircase is that column's key.

    Args:
        weights: (S, S), 0 where a query does not see a key.
        labels: S one-line strings.
        width, height: columns and lines to stay within.
        palette: "color", "shades" or "ascii".
        generated_from: the first position that the model wrote; from there on labels are bold.
    """
    assert weights.shape == (len(labels), len(labels))
    grid = choose_grid(len(labels), width, height, half_blocks=palette == "color")
    cells = pooled(weights, grid.pool) if grid.pool > 1 else weights
    lines = []
    for top in range(0, len(cells), grid.rows):
        line = _colored(cells, top, grid) if palette == "color" else _shaded(cells[top], top, grid, SHADES[palette])
        first, last = top * grid.pool, min((top + grid.rows) * grid.pool, len(labels))
        lines.append(line + _label(labels, first, last, width - line.cell_len, generated_from))
    lines.append(_legend(palette, grid, width))
    return Group(*lines)


def _colored(cells: np.ndarray, top: int, grid: Grid) -> Text:
    line = Text()
    if grid.rows == 1:
        for weight in cells[top, : top + 1]:
            line.append(" " * grid.columns, Style(bgcolor=weight_color(weight)) if weight else "")
        return line
    below = cells[top + 1] if top + 1 < len(cells) else np.zeros(len(cells))
    for upper, lower in zip(cells[top, : top + 2], below[: top + 2], strict=True):
        if upper:
            line.append("▀", Style(color=weight_color(upper), bgcolor=weight_color(lower) if lower else None))
        elif lower:
            line.append("▄", Style(color=weight_color(lower)))
        else:
            line.append(" ")
    return line


def _shaded(row: np.ndarray, query: int, grid: Grid, shades: str) -> Text:
    return Text("".join(shade_of(weight, shades) * grid.columns for weight in row[: query + 1]))


def _label(labels: Sequence[str], first: int, last: int, room: int, generated_from: int) -> Text:
    label = Text(f" {first} ", style="dim")
    for position in range(first, last):
        left = room - label.cell_len
        if left <= 0:
            break
        text = labels[position]
        if cell_len(text) > left:
            text = set_cell_size(text, left - 1) + "…"
        label.append(text, "bold not dim" if position >= generated_from else "not dim")
    return label


def _legend(palette: str, grid: Grid, width: int) -> Text:
    legend = Text("weight ", style="dim")
    if palette == "color":
        for weight in LEGEND:
            legend.append("  ", Style(bgcolor=weight_color(weight)))
            legend.append(f" {weight:g}  ")
    else:
        bounds = ("0", *(f"{step:g}" for step in SHADE_STEPS), "1")
        for shade, (low, high) in zip(SHADES[palette], pairwise(bounds), strict=True):
            legend.append(f"{shade * 2} {low}–{high}  ")
    if grid.pool > 1:
        legend.append(f"a cell: the largest of {grid.pool}×{grid.pool}")
    legend.truncate(width)
    return legend
