"""The values at one capture site of one layer, and what the metrics of layers share of them."""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from nanochat.analysis.moments import blocks, moments, pooled

NEAR_ZERO = 1e-6


class Summary(NamedTuple):
    """Of all values: NaN where one is NaN. `near_zero`: the share with |x| < 1e-6."""

    mean: float
    variance: float
    largest: float
    smallest: float
    near_zero: float


class SiteValues:
    """An array of any shape and float type; `summary` is worked out once, in pieces that stay in the cache."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = np.asarray(values)

    @cached_property
    def summary(self) -> Summary:
        parts, largest, smallest, zeros = [], [], [], 0
        for block in blocks(self.values):
            parts.append(moments(block))
            largest.append(block.max())
            smallest.append(block.min())
            zeros += np.count_nonzero(np.abs(block, out=block) < NEAR_ZERO)
        whole = pooled(parts)
        low = float(np.min(smallest))
        near_zero = np.nan if np.isnan(low) else zeros / whole.count
        return Summary(whole.mean, whole.variance, float(np.max(largest)), low, near_zero)
