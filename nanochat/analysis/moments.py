"""Means and deviations of arrays too large to widen at once, and numbers as JSON can hold them."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

BLOCK_ELEMENTS = 1 << 16  # widened to float64 this many at a time: half a MiB, which stays in the cache


class Moments(NamedTuple):
    """How many numbers, their mean, and their variance (divided by the count)."""

    count: int
    mean: float
    variance: float


def moments(values: np.ndarray) -> Moments:
    """The moments of a float64 array of any shape; NaN where it is empty."""
    if not values.size:
        return Moments(0, math.nan, math.nan)
    mean = float(values.mean())
    centred = values - mean
    np.square(centred, out=centred)  # not np.dot: BLAS wakes its threads for it, which costs more than the product
    return Moments(values.size, mean, float(centred.mean()))


def pooled(parts: Sequence[Moments]) -> Moments:
    """The moments of all parts taken together (Chan, Golub and LeVeque 1983)."""
    counts, means, variances = (np.array(column, np.float64) for column in zip(*parts, strict=True))
    total = counts.sum()
    mean = (counts * means).sum() / total
    variance = (counts * (variances + (means - mean) ** 2)).sum() / total
    return Moments(int(total), float(mean), float(variance))


def blocks(values: np.ndarray) -> Iterator[np.ndarray]:
    """The numbers of an array of any shape and float type, as flat float64 pieces."""
    flat = np.asarray(values).reshape(-1)
    for start in range(0, flat.size, BLOCK_ELEMENTS):
        yield flat[start : start + BLOCK_ELEMENTS].astype(np.float64)


def plain_number(value: float | np.floating) -> float | None:
    """A Python float, or None where JSON has no such number."""
    return float(value) if math.isfinite(value) else None


def plain_numbers(values: np.ndarray) -> list[float | None]:
    """A (n,) array as a list of Python floats, None where JSON has no such number."""
    return [plain_number(value) for value in values.tolist()]
