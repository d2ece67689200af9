"""Colours of values."""

import numpy as np

from nanochat.terminal.color_map import color_of


def test_colours_grow_lighter_with_the_value() -> None:
    brightness = [sum(color_of(value).get_truecolor()) for value in np.linspace(0, 1, 21)]
    assert brightness == sorted(brightness)
    assert color_of(-1.0) == color_of(0.0)
    assert color_of(7.0) == color_of(1.0)
