"""The connection of a script: JSON-RPC 2.0, one JSON value a line, dispatched by jsonrpcserver."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from jsonrpcserver import Error, Result, Success, async_dispatch_to_serializable

from daemon.server.connection import Client, Connection, ConnectionHandler, Response, outcome, response_of
from daemon.server.dispatch import Context, dispatch
from daemon.server.session import Call
from daemon.wire.decoding import decode, inexact_in
from daemon.wire.framing import FramingError, LineFrames, line_frame
from daemon.wire.messages import ANSWER_LIMIT, Request, duplicate, encode_response, failure, id_of, read_request
from protocol.errors import RpcError
from protocol.methods import METHODS

if TYPE_CHECKING:
    from daemon.server.state import ServerState

RUNNING_LIMIT = 64  # requests of one client that run at once
IN_FLIGHT_LIMIT = 128  # that run or wait; beyond it the client is not read
BATCH_LIMIT = 1000  # requests in one batch
LOOK_SECONDS = 0.2  # between looks whether a client that sends no more is still there


def load() -> ConnectionHandler:
    """What serves a script, with all that it needs."""
    return serve_script


async def serve_script(state: ServerState, client: Client) -> None:
    """Serve one script until it hangs up, or has ended its requests and got its answers."""
    connection = Connection(state, client, "line", line_frame, IN_FLIGHT_LIMIT)
    script = _Script(connection)
    async with connection.opened():
        with contextlib.suppress(_HungUpError):
            async for frame in connection.messages(LineFrames()):
                await script.take(frame)
            await script.finish()


class _HungUpError(Exception):
    """The client is gone."""


@dataclass(eq=False)
class _Pending:
    """A request that waits or runs."""

    request: Request
    call: Call


class _EveryMethod(dict[str, Any]):
    """jsonrpcserver's table of methods: one function answers every name, the unknown ones too."""

    def __init__(self, answer: Any):
        super().__init__()
        self._answer = answer

    def __missing__(self, name: str) -> Any:
        return self._answer


class _Script:
    """The requests of one client."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._session = connection, connection.session
        self._running = asyncio.Semaphore(RUNNING_LIMIT)
        self._tasks: set[asyncio.Task[None]] = set()
        self._methods = _EveryMethod(self._call)

    async def take(self, frame: bytes | FramingError) -> None:
        """Begin what a line asks for."""
        try:
            if isinstance(frame, FramingError):
                raise frame
            value, exact = decode(frame)
        except FramingError as error:
            self._connection.respond(failure(error.id, error))
            return
        if isinstance(value, list):
            await self._take_batch(value, exact)
            return
        begun = await self._begin(value, exact)
        if isinstance(begun, _Pending):
            self._run(begun, self._single(begun))
        elif begun is not None:
            self._connection.respond(begun)

    async def _take_batch(self, values: list[object], exact: bool) -> None:
        if not 0 < len(values) <= BATCH_LIMIT:
            error = RpcError("INVALID_REQUEST", f"A batch has 1 to {BATCH_LIMIT} requests; this one has {len(values)}.")
            self._connection.respond(failure(None, error))
            return
        bodies: list[bytes] = []
        last: asyncio.Task[None] | None = None
        for value in values:
            begun = await self._begin(value, exact)
            if isinstance(begun, _Pending):
                last = self._run(begun, self._part(begun, last, bodies))
            elif begun is not None:
                last = self._keep(asyncio.create_task(self._add(begun, last, bodies)))
        if last is not None:
            self._keep(asyncio.create_task(self._batch(last, bodies)))

    async def finish(self) -> None:
        """Give what is owed to a client that sends no more; let go of one that hung up."""
        while self._tasks:
            if self._connection.hung_up():
                raise _HungUpError
            await asyncio.wait(self._tasks, timeout=LOOK_SECONDS)
        await self._connection.outbox.sent()

    async def _begin(self, value: object, exact: bool) -> _Pending | Response | None:
        """Admit a request, or the response to what is none; None for a notification that nobody is told of."""
        try:
            request = read_request(value)
            if not exact and (problem := inexact_in(value)):
                raise RpcError("INVALID_PARAMS", problem)
            if request.wants_answer and request.id is not None and request.id in self._session.calls:
                raise duplicate(request.id)
        except RpcError as error:
            answered = error.name == "INVALID_REQUEST" or (isinstance(value, dict) and "id" in value)
            return failure(id_of(value), error) if answered else None
        if not await self._connection.has_room():
            raise _HungUpError
        call = Call(cast("int | str | None", request.id), request.method)
        self._session.begin(call)
        return _Pending(request, call)

    def _run(self, pending: _Pending, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = pending.call.task = self._keep(asyncio.create_task(work))
        return task

    def _keep(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _single(self, pending: _Pending) -> None:
        try:
            response = await self._answer(pending)
            if response is not None:
                await self._connection.outbox.room()
        finally:
            self._session.end(pending.call)
        if response is not None:
            self._connection.respond(response)

    async def _part(self, pending: _Pending, before: asyncio.Task[None] | None, bodies: list[bytes]) -> None:
        """Answer a request of a batch. It is in flight until its turn comes: results that wait for it are few."""
        try:
            await self._add(await self._answer(pending), before, bodies)
        finally:
            self._session.end(pending.call)

    async def _add(self, response: Response | None, before: asyncio.Task[None] | None, bodies: list[bytes]) -> None:
        """Put a response to the others of its batch, after the one before it; an error where they leave no room."""
        if before is not None:
            await asyncio.wait([before])
        if response is not None:
            bodies.append(encode_response(response, ANSWER_LIMIT - sum(map(len, bodies))))

    async def _batch(self, last: asyncio.Task[None], bodies: list[bytes]) -> None:
        """Answer in one array; by nothing where all were notifications."""
        await asyncio.wait([last])
        if bodies:
            await self._connection.outbox.room()
            self._connection.send(b"[" + b",".join(bodies) + b"]")

    async def _answer(self, pending: _Pending) -> Response | None:
        """The response to a request; None to a notification."""
        request = pending.request
        message = {"method": request.method, "params": request.params or {}}
        if request.wants_answer:
            message["id"] = request.id
        row = METHODS.get(request.method)
        limit = contextlib.nullcontext() if row is not None and row.at_once else self._running
        try:
            async with limit:
                return cast(
                    "Response | None",
                    await async_dispatch_to_serializable(
                        message,
                        self._methods,
                        context=pending,
                        deserializer=_as_it_is,
                        validator=_as_it_is,
                    ),
                )
        except asyncio.CancelledError:  # while it waited; or jsonrpcserver gives its answer for lost
            response = response_of(pending.call)
            return response if request.wants_answer else None

    async def _call(self, pending: _Pending, /, *positional: object, **named: object) -> Result:
        """What jsonrpcserver calls, whatever the method."""
        call = pending.call
        context = Context(self._connection.state, self._session, call.request_id, call.cancel)
        response = await outcome(call, dispatch(context, call.method, list(positional) or named))
        return Error(**response["error"]) if "error" in response else Success(response["result"])


def _as_it_is(message: Any) -> Any:
    return message
