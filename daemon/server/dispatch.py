"""One request: params checked, handler called, whatever went wrong turned into an error of the protocol."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from daemon.wire.messages import broken, cancelled
from nanochat.errors import NanoscopeError
from protocol.errors import ERRORS, RpcError
from protocol.methods import METHODS, Method
from protocol.types import RequestId, decode_params

if TYPE_CHECKING:
    from daemon.server.session import Session
    from daemon.server.state import ServerState

Result = TypeVar("Result")


def _no_progress(message: str, percent: float | None) -> None:
    """Nobody asked to be told."""


@dataclass(frozen=True)
class Context:
    """What a handler knows of the request.

    `progress(message, percent)` reports on long work where the client shows such a thing; threads may call it.
    """

    state: ServerState
    session: Session
    request_id: RequestId | None = None
    cancel: threading.Event = field(default_factory=threading.Event)
    progress: Callable[[str, float | None], None] = _no_progress


Handler = Callable[[Context, Any], Awaitable[Any]]
HANDLERS: dict[str, Handler] = {}


def handles(method: Method) -> Callable[[Handler], Handler]:
    """Make a function the handler of a method: `async def handler(context, params)`."""

    def register(handler: Handler) -> Handler:
        assert method.name not in HANDLERS, method.name
        HANDLERS[method.name] = handler
        return handler

    return register


async def dispatch(context: Context, method: str, params: object = None) -> Any:
    """Answer one request.

    Args:
        params: plain values, an object; None where the request has none.

    Returns:
        The method's result: a struct, or what JSON can hold.

    Raises:
        RpcError: anything that went wrong.
    """
    row = METHODS.get(method)
    if row is None:
        raise RpcError("METHOD_NOT_FOUND", f"There is no method {method[:80]!r}; `rpc.discover` lists them.")
    return await guarded(context, method, _handled(context, row, params))


async def _handled(context: Context, row: Method, params: object) -> Any:
    checked = _checked(row, params)
    if not row.about_daemon:
        await context.session.settled()
    return await HANDLERS[row.name](context, checked)


async def guarded(context: Context, method: str, work: Awaitable[Any]) -> Any:
    """The result of some work, whatever goes wrong as an RpcError."""
    try:
        return await work
    except RpcError:
        raise
    except NanoscopeError as error:
        raise RpcError(error.code if error.code in ERRORS else "INTERNAL_ERROR", str(error)) from error
    except asyncio.CancelledError as error:
        context.cancel.set()
        raise cancelled(method) from error
    except Exception as error:
        raise broken(method, error) from error
    finally:
        context.state.answered()


def _checked(row: Method, params: object) -> Any:
    if params is None:
        params = {}
    if not isinstance(params, dict):
        raise RpcError("INVALID_PARAMS", f"{row.name} takes its params by name: send an object, not a list.")
    try:
        return decode_params(params, row.params)
    except msgspec.ValidationError as error:
        raise RpcError("INVALID_PARAMS", f"{row.name}: {error}.", {"method": row.name}) from error


async def in_thread(context: Context, function: Callable[..., Result], *arguments: Any) -> Result:
    """Run a read on the reader pool. A cancelled one is let go of; what it still reads, it reads for nobody."""
    return await asyncio.wrap_future(await _begin_read(context, function, arguments))


async def in_thread_to_the_end(context: Context, function: Callable[..., Result], *arguments: Any) -> Result:
    """Run what changes something on the reader pool: once it has begun, its outcome is told, cancelled or not."""
    return await finished(context, await _begin_read(context, function, arguments))


async def _begin_read(
    context: Context, function: Callable[..., Result], arguments: tuple[Any, ...]
) -> concurrent.futures.Future[Result]:
    return await context.session.begin_read(context.state.readers, function, *arguments)


async def finished(context: Context, future: concurrent.futures.Future[Result]) -> Result:
    """The result of work on another thread.

    Cancelling, however often, sets `context.cancel` and waits until the work has stopped: with CANCELLED as a rule,
    with its result where it was past the point of no return.
    """
    wrapped = asyncio.wrap_future(future)
    wrapped.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be there to take it
    while not wrapped.done():
        try:
            await asyncio.wait([wrapped])
        except asyncio.CancelledError:
            context.cancel.set()
            future.cancel()  # a job that waits ends at once
            if context.state.worker.stuck:
                raise
    return wrapped.result()
