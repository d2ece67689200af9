"""Activations as numbers, site by site. A new metric is one function under `@layer_metric`."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nanochat.analysis.moments import plain_number
from nanochat.analysis.registry import LAYER_METRICS, layer_metric
from nanochat.analysis.site_values import SiteValues

ACTIVATION_NAME = re.compile(r"layer_activations\.layer_(\d+)\.(\w+)")

# In the order of listings: a new one goes last.


@layer_metric("mean", label="Mean")
def mean(site: SiteValues) -> float:
    """Mean of all values."""
    return site.summary.mean


@layer_metric("std", label="Standard deviation", short="std")
def std(site: SiteValues) -> float:
    """Population standard deviation of all values: divided by N, not N - 1."""
    return math.sqrt(site.summary.variance)


@layer_metric("max", label="Largest", short="max")
def largest(site: SiteValues) -> float:
    """Largest value."""
    return site.summary.largest


@layer_metric("min", label="Smallest", short="min")
def smallest(site: SiteValues) -> float:
    """Smallest value."""
    return site.summary.smallest


@layer_metric("sparsity", label="Sparsity", hint="values near 0", span=(0.0, 1.0))
def sparsity(site: SiteValues) -> float:
    """Share of values with |x| < 1e-6."""
    return site.summary.near_zero


@np.errstate(invalid="ignore")
def activation_statistics(values: np.ndarray, keys: Sequence[str] | None = None) -> dict[str, float | None]:
    """Every metric of layers, or some by their keys, of an array of any shape."""
    site = SiteValues(values)
    rows = LAYER_METRICS.values() if keys is None else [LAYER_METRICS[key] for key in keys]
    return {row.key: plain_number(row.numbers(site, 1)[0]) for row in rows}


def activation_analysis(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Every captured site of every layer: `analysis.activations`."""
    layer_stats: dict[str, dict[str, Any]] = {}
    names = filter(None, map(ACTIVATION_NAME.fullmatch, tensors))
    for match in sorted(names, key=lambda match: int(match[1])):
        layer_stats.setdefault(match[1], {})[match[2]] = activation_statistics(tensors[match[0]])
    return {"layer_stats": layer_stats}
