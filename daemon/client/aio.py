"""The Python client for asyncio: as daemon/client/sync.py, with `await`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Unpack

from daemon.client.base import (
    ClientState,
    GenerationOptions,
    ProgressListener,
    TensorOptions,
    Timeout,
    TokenListener,
    method_named,
)
from daemon.client.calls import AsyncCalls
from daemon.client.conversation import (
    CHUNK,
    ConnectionLostError,
    Conversation,
    Event,
    Notice,
    Reply,
    array_of,
    joined,
    overdue,
    pieces_of,
)
from daemon.client.generations import Generations
from protocol import methods
from protocol.errors import RpcError
from protocol.methods import Method
from protocol.types import (
    ForkTraceResult,
    GenerateAndCaptureParams,
    GenerateAndCaptureResult,
    GenerationProgress,
    InterveneResult,
    Params,
    RequestProgress,
)

if TYPE_CHECKING:
    import numpy as np

__all__ = ["AsyncCall", "AsyncClient", "AsyncNotifications", "ConnectionLostError", "Notice"]

Results = Generations[
    Coroutine[Any, Any, GenerateAndCaptureResult],
    Coroutine[Any, Any, InterveneResult],
    Coroutine[Any, Any, ForkTraceResult],
]


class AsyncConnection:
    """One connection on the running loop."""

    def __init__(self, on_notice: Callable[[Notice], None], on_lost: Callable[[ConnectionLostError], None]):
        self.conversation = Conversation(on_notice)
        self._on_lost = on_lost

    async def open(self, stream: socket.socket) -> None:
        """Take over a connected socket and begin to read."""
        self._reader, self._writer = await asyncio.open_connection(sock=stream)
        self._reading = asyncio.create_task(self._read())

    async def begin(self, method: Method, params: Params | Mapping[str, Any]) -> AsyncCall:
        """Send a request."""
        events: asyncio.Queue[Event] = asyncio.Queue()
        number, request = self.conversation.request(method, params, events.put_nowait)
        self._writer.write(request)
        with contextlib.suppress(ConnectionError):  # the reader sees the end as well
            await self._writer.drain()
        return AsyncCall(self, number, method, events)

    def cancel(self, number: int) -> None:
        """Ask for an end of a request; nothing happens if the connection is gone."""
        if self.conversation.lost is None:
            self._writer.write(self.conversation.cancellation(number))

    async def close(self) -> None:
        """Hang up. What still waits is answered with ConnectionLostError."""
        self._writer.close()
        await asyncio.wait([self._reading])
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _read(self) -> None:
        reason = "it hung up"
        try:
            while data := await self._reader.read(CHUNK):
                self.conversation.feed(data)
        except OSError as error:
            reason = str(error)
        finally:
            self._writer.close()
            self._on_lost(self.conversation.end(reason))


class AsyncCall:
    """A request under way. `async for` gives its progress as it comes."""

    def __init__(self, connection: AsyncConnection, number: int, method: Method, events: asyncio.Queue[Event]):
        self.number, self.method = number, method
        self.connection, self._events = connection, events
        self._reply: Reply | None = None

    def cancel(self) -> None:
        """Ask the daemon to stop it: `result` then raises CANCELLED, unless it was done already."""
        self.connection.cancel(self.number)

    async def __aiter__(self) -> AsyncIterator[GenerationProgress | RequestProgress]:
        while self._reply is None:
            event = await self._events.get()
            if isinstance(event, Reply):
                self._reply = event
            else:
                yield event

    async def result(
        self,
        timeout: float | None = None,
        *,
        on_token: TokenListener | None = None,
        on_progress: ProgressListener | None = None,
    ) -> Any:
        """Wait for the reply. If the task is cancelled or the time over, the daemon is told to stop.

        Raises:
            RpcError: what the daemon answered.
            ConnectionLostError: it went away.
            TimeoutError.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._listen(on_token, on_progress)
        except TimeoutError:
            self.cancel()
            raise overdue(self.method, timeout) from None
        except BaseException:
            self.cancel()
            raise
        assert self._reply is not None
        return self._reply.value()

    async def _listen(self, on_token: TokenListener | None, on_progress: ProgressListener | None) -> None:
        async for event in self:
            if isinstance(event, GenerationProgress):
                if on_token is not None:
                    on_token(event)
            elif on_progress is not None:
                on_progress(event)


class AsyncNotifications:
    """What the daemon tells of its own accord, from now on: an `async for`, which ends when the client is closed.

    Raises:
        ConnectionLostError: once, when the daemon went away; after the client's next call it goes on.
    """

    def __init__(self, names: tuple[str, ...], sinks: list[Callable[[Notice | ConnectionLostError | None], None]]):
        self._names, self._sinks = names, sinks
        self._queue: asyncio.Queue[Notice | ConnectionLostError | None] = asyncio.Queue()
        sinks.append(self._queue.put_nowait)

    def __aiter__(self) -> AsyncNotifications:
        return self

    async def __anext__(self) -> Notice:
        while True:
            notice = await self._queue.get()
            if notice is None:
                self._queue.put_nowait(None)
                raise StopAsyncIteration
            if isinstance(notice, ConnectionLostError):
                raise notice
            if not self._names or notice.name in self._names:
                return notice

    def close(self) -> None:
        """Listen no more."""
        with contextlib.suppress(ValueError):
            self._sinks.remove(self._queue.put_nowait)


class AsyncClient(AsyncCalls, Results, ClientState[AsyncConnection]):
    """A client of the daemon for one event loop; use it in an `async with`. It behaves and fails as Client does."""

    new_lock = asyncio.Lock

    async def __aenter__(self) -> AsyncClient:
        await self.connected()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def connected(self) -> AsyncConnection:
        """The connection as it is, or a new one where it is gone."""
        async with self._changing:
            if self.closed:
                raise ConnectionLostError("This client is closed: make another.")
            if self._connection is not None and self._connection.conversation.lost is None:
                return self._connection
            if self._connection is not None:
                await self._connection.close()
                self._connection = None
            connection = AsyncConnection(self.told, self.lost)
            await connection.open(await asyncio.to_thread(self.connect))
            try:
                self._greeting = await (await connection.begin(methods.HELLO, self.hello)).result(self.timeout)
            except BaseException:
                await connection.close()
                raise
            self._connection = connection
            return connection

    async def close(self) -> None:
        """Hang up; the daemon stops what this client left under way."""
        async with self._changing:
            self.closed = True
            if self._connection is not None:
                await self._connection.close()
        self.ended()

    async def start(self, method: Method | str, params: Params | Mapping[str, Any] | None = None) -> AsyncCall:
        """Send a request and give it back as it runs: to iterate over, wait for, or cancel."""
        return await (await self.connected()).begin(method_named(method), params or {})

    async def call(
        self,
        method: Method | str,
        params: Params | Mapping[str, Any] | None = None,
        *,
        timeout: Timeout = "default",
        on_token: TokenListener | None = None,
        on_progress: ProgressListener | None = None,
    ) -> Any:
        """Ask and wait for the result, as `AsyncCall.result` does; params may be a struct or a mapping."""
        row, attempt = method_named(method), 1
        seconds = self.seconds_for(row, timeout)
        while True:
            running = await self.start(row, params)
            try:
                return await running.result(seconds, on_token=on_token, on_progress=on_progress)
            except (ConnectionLostError, RpcError) as error:
                if not self.may_repeat(row, error, attempt):
                    raise
            await running.connection.close()
            attempt += 1

    async def stream(self, prompt: str | None = None, **options: Unpack[GenerationOptions]) -> AsyncCall:
        """The same as an AsyncCall: `async for` gives each token and where the request stands."""
        params = GenerateAndCaptureParams(prompt=prompt, stream=True, **options)
        return await self.start(methods.GENERATE_AND_CAPTURE, params)

    async def tensor(self, trace_id: str, name: str, **options: Unpack[TensorOptions]) -> np.ndarray:
        """`get_tensor` as an array, sent as bytes of `dtype`, in pieces if need be; uint8 comes back as float32."""
        try:
            return array_of(await self.get_tensor(trace_id=trace_id, name=name, encoding="base64", **options))
        except RpcError as error:
            spans = pieces_of(error, options.get("rows"))
        return joined([await self.tensor(trace_id, name, **{**options, "rows": span}) for span in spans])

    def notifications(self, *names: str) -> AsyncNotifications:
        """Notifications from now on: those named, or all."""
        return AsyncNotifications(names, self._subscriptions)
