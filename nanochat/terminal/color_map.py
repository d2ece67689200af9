"""The colours of values between 0 and 1."""

from rich.color import Color

# Matplotlib's "inferno" at tenths, interpolated between: perceptually uniform, dark where nothing is.
INFERNO = (
    (0, 0, 4), (22, 11, 57), (66, 10, 104), (106, 23, 110), (147, 38, 103), (188, 55, 84),
    (221, 81, 58), (243, 120, 25), (252, 165, 10), (246, 215, 70), (252, 255, 164),
)  # fmt: skip


def color_of(value: float) -> Color:
    """The colour of a value in 0..1."""
    place = min(max(value, 0.0), 1.0) * (len(INFERNO) - 1)
    lower = min(int(place), len(INFERNO) - 2)
    mixed = (a + (b - a) * (place - lower) for a, b in zip(INFERNO[lower], INFERNO[lower + 1], strict=True))
    return Color.from_rgb(*mixed)
