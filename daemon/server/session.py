"""One connected client: who it is, which folder it uses, what it is waiting for."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from protocol.methods import METHODS, Notification
from protocol.types import NamedModel, Params, RequestId

if TYPE_CHECKING:
    from daemon.folders.trace_folders import TraceFolder

ConnectionKind = Literal["editor", "line"]
Read = TypeVar("Read")

READS_AT_ONCE = 2  # of one session: a folder that hangs leaves threads to the others


class Outbox(Protocol):
    """Where bytes for a client go. Threads may share it."""

    def send(self, payload: bytes) -> None:
        """Queue whole frames; never blocks."""
        ...

    def close(self) -> None:
        """Send what is queued, then hang up."""
        ...


@dataclass(eq=False)
class Call:
    """A request that waits or runs. `cancel` is what long work looks at."""

    request_id: RequestId | None
    method: str
    cancel: threading.Event = field(default_factory=threading.Event)
    task: asyncio.Task[Any] | None = None
    response: dict[str, Any] | None = None  # what it has come to: from then on it cannot be cancelled

    def stop(self) -> None:
        """Cancel it, from the event loop; its task has its first step before: without one it would never answer."""
        self.cancel.set()
        asyncio.get_running_loop().call_soon(self._cancel_task)

    def _cancel_task(self) -> None:
        if self.task is not None and self.response is None:
            self.task.cancel()


class Session:
    """A client from its first byte to its last.

    Args:
        number: its number, unique for the daemon's life.
        kind: of connection.
        outbox: takes framed bytes.
        frame: puts a notification, {"jsonrpc", "method", "params"}, into the connection's framing.
    """

    def __init__(self, number: int, kind: ConnectionKind, outbox: Outbox, frame: Callable[[dict[str, Any]], bytes]):
        self.number, self.name = number, str(kind)
        self.kind: ConnectionKind = kind
        self.outbox, self._frame = outbox, frame
        self.opened = time.monotonic()
        self.notified = False  # nothing is pushed before the client has said who it is
        self.used = False  # whether it has asked for more than how the daemon is
        self.folder: TraceFolder | None = None  # changed on the event loop alone, under the lock
        self.changing_folder = asyncio.Lock()
        self._reading = asyncio.Semaphore(READS_AT_ONCE)
        self.named: NamedModel | None = None  # the model that must answer it; None: whichever is held
        self.base_dir: Path | None = None  # nanochat's; None: the daemon's own
        self.asked_model = False  # whether it has generated, or loaded a model
        self.calls: dict[Any, Call] = {}  # by request id, or by the call itself where it has none
        self.listeners: list[Callable[[Notification], None]] = []  # in the daemon: told of what the client is told

    async def settled(self) -> None:
        """Wait until what it said of itself before is done: what it asks next is of that folder and that model."""
        async with self.changing_folder:
            pass

    async def begin_read(
        self, readers: concurrent.futures.Executor, function: Callable[..., Read], *arguments: Any
    ) -> concurrent.futures.Future[Read]:
        """Hand work to the reader threads, once fewer than READS_AT_ONCE of the session's are under way there.

        Work counts until its thread is done with it, though its request may be cancelled long before.
        """
        await self._reading.acquire()
        loop = asyncio.get_running_loop()

        def done(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the daemon has ended, and its event loop with it
                loop.call_soon_threadsafe(self._reading.release)

        try:
            future = readers.submit(function, *arguments)
        except RuntimeError:  # the daemon ends: it takes no more
            self._reading.release()
            raise
        future.add_done_callback(done)
        return future

    def begin(self, call: Call) -> None:
        """Take note of a call; its id must be free."""
        key = call if call.request_id is None else call.request_id
        assert key not in self.calls
        self.calls[key] = call
        row = METHODS.get(call.method)
        self.used |= row is None or not row.about_daemon

    def end(self, call: Call) -> None:
        """The call was answered."""
        self.calls.pop(call if call.request_id is None else call.request_id, None)

    def cancel(self, request_id: RequestId) -> bool:
        """Cancel one request; False where there is none of that id."""
        call = self.calls.get(request_id)
        if call is not None:
            call.stop()
        return call is not None

    def cancel_all(self) -> None:
        """The client is gone: nothing of its work goes on."""
        for call in list(self.calls.values()):
            call.stop()

    def notify(self, notification: Notification, params: Params) -> None:
        """Tell the client something. Threads may call it."""
        assert isinstance(params, notification.params)
        for listener in self.listeners:
            listener(notification)
        self.outbox.send(self._frame({"jsonrpc": "2.0", "method": notification.name, "params": params}))
