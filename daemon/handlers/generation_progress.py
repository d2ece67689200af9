"""How a request for the model goes, as its caller is told: its place in the queue, then token by token."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from daemon.server.dispatch import Context
from protocol.methods import GENERATION_PROGRESS, REQUEST_PROGRESS
from protocol.types import Alternative, GenerationProgress, RequestProgress

if TYPE_CHECKING:
    from nanochat.interpretability_engine import TokenEvent

RATE_SECONDS = 0.2  # between two messages about the speed
TAIL = 60  # characters of the text so far that such a message ends with


class Progress:
    """Tells one caller, from any thread; with `stream` in notifications, always where its connection shows progress."""

    def __init__(self, context: Context, stream: bool = False):
        self.context, self.stream = context, stream and context.request_id is not None
        self._started = self._told = 0.0
        self._tail, self._count = "", 0

    def position(self, ahead: int) -> None:
        """So many jobs are before this one; 0: it runs."""
        state = self.context.state
        if ahead == 0:
            self._started = self._told = time.monotonic()
            self._notify("running", ahead, "Begun.")
        elif state.model.describe().source is None:
            self._notify("loading", ahead, "Waiting for the model, which is being loaded.")
        else:
            self._notify("queued", ahead, f"Waiting for {ahead} other request{'s' * (ahead > 1)}.")
        state.status_changed()

    def loading(self, message: str) -> None:
        """The model that the caller names is loaded first."""
        self._notify("loading", 0, message)

    def _notify(self, state: str, ahead: int, message: str, notice: str = "") -> None:
        self.context.progress(message, None)
        request = self.context.request_id
        if self.stream and request is not None:
            kind: Any = state
            told = RequestProgress(request=request, state=kind, ahead=ahead, message=message, notice=notice)
            self.context.session.notify(REQUEST_PROGRESS, told)

    def part(self, message: str, done: int, whole: int) -> None:
        """So much of the work is done."""
        request, now = self.context.request_id, time.monotonic()
        if now - self._told < RATE_SECONDS and done < whole:
            return
        self._told = now
        self.context.progress(message, 100 * done / whole)
        if self.stream and request is not None:
            told = RequestProgress(request=request, state="running", message=message)
            self.context.session.notify(REQUEST_PROGRESS, told)

    def notice(self, text: str) -> None:
        """What the caller should know before the work."""
        self._notify("running", 0, text, text)

    def token(self, event: TokenEvent, max_tokens: int | None) -> None:
        """One more token, of so many at most, where that is known."""
        request, self._count = self.context.request_id, self._count + 1
        self._tail = (self._tail + event.text)[-TAIL:]
        if self.stream and request is not None:
            self.context.session.notify(
                GENERATION_PROGRESS,
                GenerationProgress(
                    request=request,
                    token=event.token,
                    text=event.text,
                    position=event.position,
                    forced=event.forced,
                    surprisal=event.surprisal,
                    top=[Alternative(**row) for row in event.top],
                ),
            )
        now = time.monotonic()
        if now - self._told >= RATE_SECONDS:
            self._told = now
            count, rate = self._count, self._count / (now - self._started)
            message = f"{count} token{'s' * (count != 1)}, {rate:.1f} a second: {' '.join(self._tail.split())}"
            self.context.progress(message, 100 * count / max_tokens if max_tokens else None)
