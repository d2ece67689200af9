"""The calls of both Python clients that write text: they take listeners, which no generated call can."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar, Unpack

from daemon.client.base import (
    ForkOptions,
    GenerationOptions,
    InterveneOptions,
    ProgressListener,
    Timeout,
    TokenListener,
)
from protocol import methods
from protocol.methods import Method
from protocol.types import ForkTraceParams, GenerateAndCaptureParams, InterveneParams, Intervention, Params

Captured = TypeVar("Captured", covariant=True)
Intervened = TypeVar("Intervened", covariant=True)
Forked = TypeVar("Forked", covariant=True)


class Caller(Protocol):
    """A client: `call` asks and gives the result, or what to await for it."""

    def call(
        self,
        method: Method,
        params: Params,
        *,
        timeout: Timeout,
        on_token: TokenListener | None,
        on_progress: ProgressListener | None,
    ) -> Any: ...


class Generations(Generic[Captured, Intervened, Forked]):
    """Of a client that gives these results, or what to await for them."""

    def generate_and_capture(
        self: Caller,
        prompt: str | None = None,
        *,
        timeout: Timeout = "default",
        on_token: TokenListener | None = None,
        on_progress: ProgressListener | None = None,
        **options: Unpack[GenerationOptions],
    ) -> Captured:
        """Write on from a prompt, or answer `messages`, and keep a trace of it.

        Args:
            on_token: called with every token as it comes; AsyncClient calls it on the loop.
            on_progress: called when the request is queued, waits for the model, begins.
            options: fields of GenerateAndCaptureParams.
        """
        stream = on_token is not None or on_progress is not None
        params = GenerateAndCaptureParams(prompt=prompt, stream=stream, **options)
        return self.call(
            methods.GENERATE_AND_CAPTURE, params, timeout=timeout, on_token=on_token, on_progress=on_progress
        )

    def intervene(
        self: Caller,
        trace_id: str,
        interventions: list[Intervention] | None = None,
        *,
        timeout: Timeout = "default",
        on_token: TokenListener | None = None,
        on_progress: ProgressListener | None = None,
        **options: Unpack[InterveneOptions],
    ) -> Intervened:
        """Run a trace's prompt again, changed or on another model; listeners as for `generate_and_capture`."""
        stream = on_token is not None or on_progress is not None
        params = InterveneParams(trace_id=trace_id, interventions=interventions, stream=stream, **options)
        return self.call(methods.INTERVENE, params, timeout=timeout, on_token=on_token, on_progress=on_progress)

    def fork_trace(
        self: Caller,
        trace_id: str,
        position: int,
        *,
        timeout: Timeout = "default",
        on_token: TokenListener | None = None,
        on_progress: ProgressListener | None = None,
        **options: Unpack[ForkOptions],
    ) -> Forked:
        """Go on from another token of a trace's text; listeners as for `generate_and_capture`."""
        stream = on_token is not None or on_progress is not None
        params = ForkTraceParams(trace_id=trace_id, position=position, stream=stream, **options)
        return self.call(methods.FORK_TRACE, params, timeout=timeout, on_token=on_token, on_progress=on_progress)
