"""Attention as the metrics read it: every head's rows, over the keys that a query may see."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

SPARSITY_THRESHOLD = 0.01
SMALLEST_WEIGHT = np.finfo(np.float64).tiny  # stands in for 0 under the logarithm, so that 0 ln 0 = 0


@dataclass(frozen=True, eq=False)
class RowLayout:
    """Which cells of an (S, S) matrix count: query q sees keys k with 0 <= q - k <= window (None: all earlier ones)."""

    tokens: np.ndarray  # (S,) the ids the model read
    window: int | None = None

    @property
    def size(self) -> int:
        return len(self.tokens)

    @cached_property
    def reach(self) -> int:
        """The largest q - k that counts."""
        return self.size - 1 if self.window is None else min(self.window, self.size - 1)

    @cached_property
    def key_counts(self) -> np.ndarray:
        """(S,) the number of valid keys of each query, |V_q|."""
        return np.minimum(np.arange(self.size), self.reach) + 1

    @cached_property
    def row_starts(self) -> np.ndarray:
        """(S,) where each query's cells begin in `cells`."""
        return np.cumsum(self.key_counts) - self.key_counts

    @cached_property
    def cells(self) -> np.ndarray:
        """(n,) flat indices q * S + k of the valid cells, row after row."""
        queries = np.arange(self.size)
        first_cells = queries * self.size + queries - self.key_counts + 1
        return np.repeat(first_cells - self.row_starts, self.key_counts) + np.arange(self.key_counts.sum())

    @cached_property
    def repeats(self) -> tuple[np.ndarray, np.ndarray]:
        """All pairs (q, j), j < q, of equal tokens: (n,) queries, (n,) earlier positions, even out of the window."""
        queries, earlier = np.nonzero(np.tril(self.tokens[:, None] == self.tokens, -1))
        return queries, earlier


@dataclass(frozen=True, eq=False)
class HeadRows:
    """The attention of some heads of one layer; what several metrics need is computed once."""

    weights: np.ndarray  # (H, S, S) of any float type
    layout: RowLayout
    sparsity_threshold: float = SPARSITY_THRESHOLD

    @cached_property
    def cells(self) -> np.ndarray:
        """(H, n) the valid cells alone, float64."""
        flat = self.weights.reshape(len(self.weights), -1)
        return np.take(flat, self.layout.cells, axis=1).astype(np.float64)

    @cached_property
    def entropy(self) -> np.ndarray:
        """(H, S) -sum_k A ln A of every row, in nats."""
        products = np.maximum(self.cells, SMALLEST_WEIGHT)
        np.log(products, out=products)
        products *= self.cells
        return 0.0 - np.add.reduceat(products, self.layout.row_starts, axis=1)

    def mean_mass(self, queries: np.ndarray, keys: np.ndarray, rows: int) -> np.ndarray:
        """(H,) the weight on the cells (queries[i], keys[i]), divided by `rows`; cells outside the window weigh 0."""
        if rows == 0:
            return np.full(len(self.weights), np.nan)
        inside = queries - keys <= self.layout.reach
        return self.weights[:, queries[inside], keys[inside]].sum(axis=1, dtype=np.float64) / rows
