"""Work that many changes ask for and that is done once, a moment later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger("nanoscope.connection")


class Debouncer:
    """Does some work soon after it was wished for, however often, and never twice at once. Of the event loop's thread.

    Args:
        work: wishes that come while it runs make it run again.
        seconds: from the first wish to the work.
    """

    def __init__(self, work: Callable[[], Awaitable[None]], seconds: float):
        self._work, self._seconds = work, seconds
        self._wished = False
        self._task: asyncio.Task[None] | None = None

    def trigger(self) -> None:
        """Ask for it."""
        self._wished = True
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())

    def close(self) -> None:
        """Forget what was wished for, and stop what runs."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            while self._wished:
                await asyncio.sleep(self._seconds)
                self._wished = False
                await self._work()
        except Exception:
            log.exception("A document could not be looked at")
        finally:
            self._task = None
