"""One generation with its capture as it goes: what came out, and the clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from nanochat.capture.recorder import Recorder
from nanochat.engine import Step
from nanochat.text_stream import TextStream


@dataclass
class Run:
    """What one generation was given, and what it gave."""

    prompt: list[int]
    recorder: Recorder
    max_tokens: int  # that there are positions for
    text: TextStream
    generated: list[int] = field(default_factory=list)
    sampled: list[int] = field(default_factory=list)  # 1 where the model chose, 0 where the calculator did
    touched: list[int] = field(default_factory=list)  # positions, of each intervention
    stop_reason: str = "max_tokens"
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0


def timed(steps: Iterator[Step], run: Run) -> Iterator[Step]:
    """The steps, noting on the run what the first took and what the others did; the clock stands while one is out."""
    started = time.perf_counter()
    for number, step in enumerate(steps):
        taken = time.perf_counter() - started
        if number:
            run.decode_seconds += taken
        else:
            run.prefill_seconds = taken
        yield step
        started = time.perf_counter()
    if not run.generated:
        run.prefill_seconds = time.perf_counter() - started
