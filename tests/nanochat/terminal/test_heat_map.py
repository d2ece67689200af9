"""The heat map: what fits, what shows, what stays blank."""

import io

import numpy as np
import pytest
from rich.console import Console, RenderableType

from nanochat.terminal.color_map import color_of
from nanochat.terminal.heat_map import Grid, choose_grid, heat_map, pooled, shade_of, weight_color


def uniform(size: int) -> np.ndarray:
    return np.tril(np.ones((size, size))) / np.arange(1, size + 1)[:, None]


def drawn(renderable: RenderableType, width: int = 80, color: bool = False) -> list[str]:
    buffer = io.StringIO()
    system = "truecolor" if color else None
    Console(file=buffer, width=width, force_terminal=color, color_system=system, _environ={}).print(renderable)
    return buffer.getvalue().splitlines()


def test_shades_show_the_triangle_with_each_rows_token_at_its_end() -> None:
    weights = np.array([[1, 0, 0], [0.3, 0.7, 0], [0.005, 0.195, 0.8]])
    lines = drawn(heat_map(weights, ["<|bos|>", "·a", "↵"], width=80, height=40, palette="shades"))
    assert [line.rstrip() for line in lines[:3]] == ["██ 0 <|bos|>", "▓▓██ 1 ·a", "··▒▒██ 2 ↵"]
    assert "▓▓ 0.25–0.5" in lines[3]


def test_a_key_outside_the_window_is_blank_and_a_faint_one_is_not() -> None:
    assert shade_of(0.0, "·░▒▓█") == " "
    assert shade_of(1e-9, "·░▒▓█") == "·"
    assert [shade_of(weight, "·░▒▓█") for weight in (0.01, 0.1, 0.25, 0.5, 1.0)] == list("░▒▓██")


def test_ascii_for_terminals_without_unicode() -> None:
    lines = drawn(heat_map(uniform(3), ["a", "b", "c"], width=80, height=40, palette="ascii"))
    assert [line.rstrip() for line in lines[:3]] == ["## 0 a", "#### 1 b", "****** 2 c"]


@pytest.mark.parametrize(
    ("positions", "grid"),
    [
        (10, Grid(1, 1, 2)),
        (33, Grid(1, 1, 2)),
        (34, Grid(1, 2, 1)),
        (66, Grid(1, 2, 1)),
        (67, Grid(2, 2, 1)),
        (300, Grid(5, 2, 1)),
    ],
)
def test_the_grid_is_the_finest_that_fits_80_columns(positions: int, grid: Grid) -> None:
    assert choose_grid(positions, width=80, height=40, half_blocks=True) == grid


@pytest.mark.parametrize("palette", ["color", "shades", "ascii"])
@pytest.mark.parametrize("positions", [1, 2, 5, 33, 34, 65, 66, 67, 150, 301])
@pytest.mark.parametrize(("width", "height"), [(80, 20), (140, 50), (30, 8)])
def test_the_map_stays_within_the_terminal(palette: str, positions: int, width: int, height: int) -> None:
    labels = ["·国家" if position % 3 else "·antidisestablishmentarianism" for position in range(positions)]
    renderable = heat_map(uniform(positions), labels, width=width, height=height, palette=palette)
    console = Console(file=io.StringIO(), width=width)
    lines = console.render_lines(renderable, pad=False)
    assert len(lines) <= height + 1  # and the legend
    assert all(sum(segment.cell_length for segment in line) <= width for line in lines)


def test_half_blocks_carry_two_queries_a_line() -> None:
    weights = uniform(40)
    lines = drawn(heat_map(weights, ["x"] * 40, width=80, height=30), color=True)
    assert len(lines) == 21
    first = lines[0].split(" ")[0]
    upper, lower = weight_color(1.0).triplet, weight_color(0.5).triplet
    assert upper is not None
    assert lower is not None
    assert f"38;2;{upper.red};{upper.green};{upper.blue};48;2;{lower.red};{lower.green};{lower.blue}m▀" in first
    assert f"38;2;{lower.red};{lower.green};{lower.blue}m▄" in first


def test_pooling_keeps_the_largest_weight_of_each_square() -> None:
    weights = np.zeros((5, 5))
    weights[3, 1], weights[4, 4] = 0.9, 0.4
    assert pooled(weights, 2).tolist() == [[0, 0, 0], [0.9, 0, 0], [0, 0, 0.4]]


def test_small_weights_show_more_than_in_proportion() -> None:
    assert weight_color(0.25) == color_of(0.54)
    assert weight_color(0.0) != color_of(0.0)


def test_generated_tokens_stand_out_from_the_prompt() -> None:
    lines = drawn(heat_map(uniform(2), ["prompt", "made"], width=80, height=10, generated_from=1), color=True)
    assert "\x1b[1mmade" in lines[1]
    assert "\x1b[1mprompt" not in lines[0]
