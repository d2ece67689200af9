"""Rows of logits, the token that followed each, and what the metrics of tokens share of them."""

import math
from collections.abc import Sequence

import numpy as np


class NotCapturedError(Exception):
    """A trace keeps only each row's highest logits: what needs all of them is not defined."""


class LogitRows:
    """n rows of logits at temperature 1, and the n tokens that followed.

    Attributes:
        followers: (n,) token ids.
        log_sum_exp: (n,) float64.
        entropy: (n,) float64, in nats; NaN where only the highest logits were kept.
        log_probability: (n,) float64, natural, of the token that followed; NaN where it is not among those kept.
    """

    def __init__(
        self,
        followers: Sequence[int] | np.ndarray,
        log_sum_exp: np.ndarray,
        entropy: np.ndarray,
        log_probability: np.ndarray,
        logits: np.ndarray | None,
    ) -> None:
        self.followers = np.asarray(followers, np.int64)
        self.log_sum_exp, self.entropy, self.log_probability = log_sum_exp, entropy, log_probability
        self._logits = logits

    @property
    def logits(self) -> np.ndarray:
        """(n, vocab) float64. Raises NotCapturedError where only the highest were kept: the metric is NaN there."""
        if self._logits is None:
            raise NotCapturedError
        return self._logits

    @classmethod
    def whole(cls, logits: np.ndarray, followers: np.ndarray) -> "LogitRows":
        """Of full rows, (n, vocab)."""
        rows = logits.astype(np.float64)
        log_sum_exp, entropy = softmax_summary(rows)
        return cls(followers, log_sum_exp, entropy, rows[np.arange(len(rows)), followers] - log_sum_exp, rows)

    @classmethod
    def highest(
        cls, values: np.ndarray, indices: np.ndarray, log_sum_exp: np.ndarray, followers: np.ndarray
    ) -> "LogitRows":
        """Of each row's K highest: values and indices (n, K)."""
        found = indices == np.asarray(followers, np.int64)[:, None]
        follower = np.where(found, values, 0.0).sum(axis=1)
        log_probability = np.where(found.any(axis=1), follower, np.nan) - log_sum_exp
        return cls(followers, log_sum_exp, np.full(len(values), np.nan), log_probability, None)


@np.errstate(invalid="ignore")
def softmax_summary(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) log-sum-exp and (n,) entropy in nats of (n, vocab) float64 rows."""
    peak = rows.max(axis=1, keepdims=True)
    shifted = rows - peak
    np.maximum(shifted, -800.0, out=shifted)  # exp gives 0 there as well, and 0 * -inf would be NaN
    weights = np.exp(shifted)
    total = weights.sum(axis=1)
    entropy = np.log(total) - np.einsum("nv,nv->n", weights, shifted) / total
    return peak[:, 0] + np.log(total), np.maximum(entropy, 0.0)


def bits(log_probability: np.ndarray) -> np.ndarray:
    """Surprisal in bits; rounding must not make it negative."""
    return np.maximum(log_probability / -math.log(2), 0.0)
