"""What every connection does alike: opens a session, admits requests while there is room, answers each one once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from daemon.server.named_models import Introduction, introduce
from daemon.server.session import Call, ConnectionKind, Session
from daemon.wire.framing import Frames, FramingError
from daemon.wire.messages import broken, cancelled, encode_response, failure, framed_notification, success
from daemon.wire.outbox import StreamOutbox
from daemon.wire.read_messages import hung_up, incoming
from nanochat.errors import StorageError
from protocol.errors import RpcError

if TYPE_CHECKING:
    from daemon.server.state import ServerState

LOOK_SECONDS = 0.2  # between looks whether a client that is not read is still there

Response = dict[str, Any]


@dataclass(frozen=True)
class Client:
    """Someone who was let in. `first`: what has been read already; `introduction`: which model its settings name."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    first: bytes
    introduction: Introduction | None = None


ConnectionHandler = Callable[["ServerState", Client], Awaitable[None]]


class Connection:
    """A client's session, and the way to it and back.

    Args:
        kind: which kind of client.
        frame: puts a body into the kind's framing.
        limit: requests in flight at once; beyond it the client is not read.
    """

    def __init__(
        self, state: ServerState, client: Client, kind: ConnectionKind, frame: Callable[[bytes], bytes], limit: int
    ) -> None:
        self.state, self._client, self._frame, self._limit = state, client, frame, limit
        self.outbox = StreamOutbox(client.writer, on_closed=client.reader.feed_eof)
        self.session = Session(state.next_number(), kind, self.outbox, lambda sent: framed_notification(frame, sent))

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """The session is one of the daemon's; in the end none of its work goes on, and what is sent is sent.

        Raises StorageError, which the client is told: the folder that its settings name cannot be used.
        """
        introduction = self._client.introduction
        introduce(self.session, introduction)
        self.state.join(self.session)
        try:
            if introduction is not None and introduction.traces_dir is not None:
                await self._use_folder(introduction.traces_dir)
            yield
        finally:
            self.state.leave(self.session)
            self.outbox.close()

    async def _use_folder(self, path: str) -> None:
        try:
            await self.state.use_folder(self.session, path)
        except StorageError as error:
            self.respond(failure(None, RpcError("STORAGE_FAILED", str(error))))
            raise

    def messages(self, frames: Frames) -> AsyncIterator[bytes | FramingError]:
        """What comes in, until the client ends."""
        return incoming(self._client.reader, frames, self._client.first, self.outbox)

    def hung_up(self) -> bool:
        """Whether the client is gone, rather than done with sending."""
        return hung_up(self._client.writer)

    async def has_room(self) -> bool:
        """Wait until one more request may come; False: the client hung up meanwhile."""
        calls = self.session.calls
        while len(calls) >= self._limit and not self.hung_up():
            tasks = [call.task for call in calls.values() if call.task is not None]
            await asyncio.wait(tasks, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        return len(calls) < self._limit and not self.outbox.closed

    def send(self, body: bytes) -> None:
        self.outbox.send(self._frame(body))

    def respond(self, response: Response) -> None:
        self.send(encode_response(response))


async def outcome(call: Call, work: Awaitable[object]) -> Response:
    """What a request comes to, kept with the call: from then on it cannot be cancelled."""
    try:
        call.response = success(call.request_id, await work)
    except RpcError as error:
        call.response = failure(call.request_id, error)
    return call.response


def response_of(call: Call, fault: BaseException | None = None) -> Response:
    """The response to a request whose task is over: what it came to, or else why it came to nothing; kept as well."""
    if call.response is None:
        error = cancelled(call.method) if fault is None else broken(call.method, fault)
        call.response = failure(call.request_id, error)
    return call.response
