"""Activations as numbers, site by site."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from nanochat.analysis.moments import blocks, moments, plain_number, pooled

NEAR_ZERO = 1e-6
ACTIVATION_NAME = re.compile(r"layer_activations\.layer_(\d+)\.(\w+)")


@np.errstate(invalid="ignore")
def activation_statistics(values: np.ndarray) -> dict[str, float | None]:
    """The mean, std (divided by the count), max, min and sparsity (share with |x| < 1e-6) of an array of any shape."""
    parts, highest, lowest, zeros = [], [], [], 0
    for block in blocks(values):
        parts.append(moments(block))
        highest.append(block.max())
        lowest.append(block.min())
        zeros += np.count_nonzero(np.abs(block, out=block) < NEAR_ZERO)
    whole = pooled(parts)
    sparsity = np.nan if np.isnan(np.min(lowest)) else zeros / whole.count
    numbers = {"mean": whole.mean, "std": np.sqrt(whole.variance), "max": np.max(highest), "min": np.min(lowest)}
    return {key: plain_number(number) for key, number in (numbers | {"sparsity": sparsity}).items()}


def activation_analysis(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Every captured site of every layer: `analysis.activations`."""
    layer_stats: dict[str, dict[str, Any]] = {}
    names = filter(None, map(ACTIVATION_NAME.fullmatch, tensors))
    for match in sorted(names, key=lambda match: int(match[1])):
        layer_stats.setdefault(match[1], {})[match[2]] = activation_statistics(tensors[match[0]])
    return {"layer_stats": layer_stats}
