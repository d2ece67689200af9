"""What the daemon asks an editor, which may answer late, or never."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

ANSWER_SECONDS = 5.0


class Questions:
    """The questions to one editor. Of the event loop's thread.

    Args:
        send: sends a request, and gives the future of its answer.
    """

    def __init__(self, send: Callable[[str, Any], asyncio.Future[Any]]):
        self._send = send
        self._owed: dict[str, asyncio.Future[Any]] = {}  # by method: the last answer
        self._late: set[str] = set()  # methods whose answers did not come in time

    def ask(self, method: str, params: Any, *, once: bool = False) -> Awaitable[tuple[bool, Any]]:
        """Ask now; what is given waits for whether the editor agreed in time, and what it answered.

        While it owes an answer that is late, nothing more is asked of the kind: it would only wait, and pile up.

        Args:
            once: not while it owes any answer of the kind.
        """
        earlier = self._owed.get(method)
        if earlier is not None and not earlier.done() and (once or method in self._late):
            return asyncio.sleep(0, (False, None))
        answer = self._send(method, params)
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._owed[method] = answer
        self._late.discard(method)
        return self._answer(method, answer)

    async def _answer(self, method: str, answer: asyncio.Future[Any]) -> tuple[bool, Any]:
        await asyncio.wait([answer], timeout=ANSWER_SECONDS)
        if not answer.done():
            self._late.add(method)
            self._owed[method] = answer
        agreed = answer.done() and not answer.cancelled() and answer.exception() is None
        return agreed, answer.result() if agreed else None
