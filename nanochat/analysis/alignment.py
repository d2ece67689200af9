"""Two traces side by side: which of their tokens belong together, and how differently their heads look at them."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import takewhile, zip_longest

import numpy as np

from nanochat.analysis.thumbnails import attention_layers
from nanochat.errors import CancelledError
from nanochat.traces.trace import Trace


@dataclass(frozen=True)
class Pair:
    """Positions that belong together; None: the other text has something here that this one lacks."""

    a: int | None
    b: int | None
    same: bool


def aligned(a: Sequence[str], b: Sequence[str]) -> list[Pair]:
    """The tokens of two texts as one sequence: both in their order, equal ones together as far as that goes.

    Where one run of tokens stands in the place of another, they are paired one by one, and what is left of the longer
    run stays alone (Ratcliff and Metzener 1988, as in difflib).

    Args:
        a: the texts of the first's tokens; b: of the second's.
    """
    pairs: list[Pair] = []
    for _, first, last, start, stop in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        for left, right in zip_longest(range(first, last), range(start, stop)):
            same = left is not None and right is not None and a[left] == b[right]
            pairs.append(Pair(left, right, same))
    return pairs


def parted_at(a: Sequence[int] | Sequence[str], b: Sequence[int] | Sequence[str]) -> int | None:
    """The first position where two texts part, the end of the shorter one among them; None: they are the same."""
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))
    return None if shared == len(a) == len(b) else shared


def head_divergence(
    a: np.ndarray, b: np.ndarray, pairs: Sequence[Pair], cancel: threading.Event | None = None
) -> np.ndarray:
    """How differently the heads of a layer look at two texts, each by the paired positions of both.

    Args:
        a: weights over the first text, (H, S, S); b: over the second, (G, T, T).
        pairs: of positions; those without a row of weights are left out.

    Returns:
        (min(H, G),) float64, in bits, of the heads that both have: the mean over paired queries of their weights'
        Jensen-Shannon divergence (Lin 1991). 0 where both look alike, 1 where they look at nothing that the
        texts share; weight on a position without a partner is shared with nothing. NaN where no positions are paired.

    Raises:
        CancelledError: `cancel` was set.
    """
    both = [(pair.a, pair.b) for pair in pairs if pair.a is not None and pair.b is not None]
    rows = [(i, j) for i, j in both if i < a.shape[-1] and j < b.shape[-1]]
    if not rows:
        return np.full(min(len(a), len(b)), np.nan)
    left, right = (np.array(side) for side in zip(*rows, strict=True))
    found = np.empty(min(len(a), len(b)))
    for head in range(len(found)):
        if cancel is not None and cancel.is_set():
            raise CancelledError("Cancelled: the heads were not compared.")
        p, q = (weights[head].astype(np.float64)[np.ix_(side, side)] for weights, side in ((a, left), (b, right)))
        found[head] = _divergence(p, q).mean()
    return found


def _divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """(n,) in bits, of rows (n, n) that need not sum to 1: what is missing is shared with nothing."""
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log2(p / middle), 0.0) + np.where(q > 0, q * np.log2(q / middle), 0.0)
    missing = (1 - p.sum(axis=-1)).clip(0) + (1 - q.sum(axis=-1)).clip(0)
    return (terms.sum(axis=-1) + missing) / 2


def compared_layers(a: Trace, b: Trace) -> list[int]:
    """The layers whose heads can be compared: those captured in both."""
    theirs = set(attention_layers(b))
    return [layer for layer in attention_layers(a) if layer in theirs]
