"""Alternating measurements, and what one row of a benchmark's table says."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

PAUSE_SECONDS = 0.05  # idle worker threads spin for some milliseconds after their last work: let them fall asleep


@dataclass(frozen=True)
class Row:
    """One figure with its spread.

    `limit` is the most that the median may be (None: told for information); `problem` says why there is no figure.
    """

    name: str
    what: str
    values: tuple[float, ...] = ()
    unit: str = ""
    limit: float | None = None
    note: str = ""
    problem: str = ""

    @property
    def median(self) -> float | None:
        """The figure; None where it could not be measured."""
        return statistics.median(self.values) if self.values else None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.problem:
            return False
        return None if self.limit is None or self.median is None else self.median <= self.limit

    def as_json(self) -> dict[str, Any]:
        """All of it, with what follows from it."""
        spread = {"median": self.median, "min": min(self.values, default=None), "max": max(self.values, default=None)}
        return asdict(self) | spread | {"met": self.met}


def alternate(sides: Sequence[Callable[[], float]], rounds: int) -> list[list[float]]:
    """Run the sides in turn, A B A B ..., once to warm up and then `rounds` times.

    Args:
        sides: each runs once and gives the seconds that count.
        rounds: how often each is measured.

    Returns:
        Of each side, the seconds of its rounds.
    """
    seconds: list[list[float]] = [[] for _ in sides]
    for count in range(rounds + 1):
        for side, measured in zip(sides, seconds, strict=True):
            gc.collect()
            time.sleep(PAUSE_SECONDS)
            taken = side()
            if count > 0:
                measured.append(taken)
    return seconds


def ratios(numerator: Sequence[float], denominator: Sequence[float]) -> tuple[float, ...]:
    """One ratio a round, so that a machine that is slow for a while slows both."""
    return tuple(a / b for a, b in zip(numerator, denominator, strict=True))


def timed(work: Callable[[], object], repeats: int) -> tuple[float, ...]:
    """Milliseconds of each of `repeats` runs after one to warm up."""
    work()
    return tuple(seconds_of(work) * 1e3 for _ in range(repeats))


def seconds_of(work: Callable[[], object]) -> float:
    """Seconds that one run takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
