"""How a request for the model goes, as its caller is told: its place in the queue, then token by token."""

from __future__ import annotations

import codecs
import time
from typing import TYPE_CHECKING

from daemon.dispatch import Context
from protocol.methods import GENERATION_PROGRESS, REQUEST_PROGRESS
from protocol.types import Alternative, GenerationProgress, RequestProgress

if TYPE_CHECKING:
    from nanochat.interpretability_engine import InterpretabilityEngine, TokenEvent

RATE_SECONDS = 0.2  # between two messages about the speed
TAIL = 60  # characters of the text so far that such a message ends with


class TextStream:
    """The text of tokens as they come: a character of several tokens comes with its last one.

    Put together it is the response: without the token that ends it, and with U+FFFD for what is no character.
    """

    def __init__(self, engine: InterpretabilityEngine, max_tokens: int):
        self.tokenizer, self.end_tokens = engine.tokenizer, engine.engine.end_tokens
        self.max_tokens, self.max_positions = max_tokens, engine.model.config.max_positions
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.count = 0

    def text_of(self, event: TokenEvent) -> str:
        """What a token adds to the text."""
        self.count += 1
        if event.token in self.end_tokens:
            return self.decoder.decode(b"", final=True)
        last = self.count == self.max_tokens or event.position == self.max_positions  # of those that fit
        return self.decoder.decode(self.tokenizer.decode_single_token_bytes(event.token), final=last)


class Progress:
    """Tells one caller, from any thread; with `stream` in notifications, always where its door shows progress."""

    def __init__(self, context: Context, stream: bool = False):
        self.context, self.stream = context, stream and context.request_id is not None
        self._started = self._told = 0.0
        self._tail = ""

    def position(self, ahead: int) -> None:
        """So many jobs are before this one; 0: it runs."""
        hub = self.context.hub
        if ahead == 0:
            self._started = self._told = time.monotonic()
            self._state("running", ahead, "Begun.")
        elif hub.model.describe().source is None:
            self._state("loading", ahead, "Waiting for the model, which is being loaded.")
        else:
            self._state("queued", ahead, f"Waiting for {ahead} other request{'s' * (ahead > 1)}.")
        hub.status_changed()

    def loading(self, message: str) -> None:
        """The model that the caller names is loaded first."""
        self._state("loading", 0, message)

    def _state(self, state: str, ahead: int, message: str) -> None:
        self.context.progress(message, None)
        request = self.context.request_id
        if self.stream and request is not None:
            told = RequestProgress(request=request, state=state, ahead=ahead, message=message)  # type: ignore[arg-type]
            self.context.session.notify(REQUEST_PROGRESS, told)

    def token(self, event: TokenEvent, text: TextStream) -> None:
        """One more token."""
        request, said = self.context.request_id, text.text_of(event)
        self._tail = (self._tail + said)[-TAIL:]
        if self.stream and request is not None:
            self.context.session.notify(
                GENERATION_PROGRESS,
                GenerationProgress(
                    request=request,
                    token=event.token,
                    text=said,
                    position=event.position,
                    forced=event.forced,
                    surprisal=event.surprisal,
                    top=[Alternative(**row) for row in event.top],
                ),
            )
        now = time.monotonic()
        if now - self._told >= RATE_SECONDS:
            self._told = now
            rate = text.count / (now - self._started)
            message = (
                f"{text.count} token{'s' * (text.count != 1)}, {rate:.1f} a second: {' '.join(self._tail.split())}"
            )
            self.context.progress(message, 100 * text.count / text.max_tokens)
