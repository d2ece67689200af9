"""How late the event loop is: the largest delay of a regular tick, lately."""

from __future__ import annotations

import asyncio
from collections import deque

TICK = 0.25  # seconds
KEPT = 40  # ticks, ten seconds


class LoopLag:
    """Measures from `start` to `stop`, on the running loop."""

    def __init__(self) -> None:
        self._delays: deque[float] = deque(maxlen=KEPT)
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to tick."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(loop.time() + TICK, self._tick, loop, loop.time() + TICK)

    def _tick(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = loop.time()
        self._delays.append(now - due)
        self._timer = loop.call_at(now + TICK, self._tick, loop, now + TICK)

    def stop(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()

    def milliseconds(self) -> float:
        """The largest delay of the last ten seconds."""
        return round(1000 * max(self._delays, default=0.0), 3)
