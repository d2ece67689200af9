"""A state of ten lines with handlers of the test's own, and clients of both kinds that write bytes as they like."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import msgspec

from daemon import handlers as _real_handlers  # noqa: F401  registered before a test puts its own in their place
from daemon.handlers.status import hello
from daemon.server.dispatch import HANDLERS
from daemon.server.listener import listen_unix
from daemon.server.session import Session

SECONDS = 8.0  # no test waits longer for anything
TRACE = {"trace_id": "a"}
REQUEST = b'{"jsonrpc":"2.0","method":"get_summary","params":{"trace_id":"a"},"id":%b}'


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """An async test, bounded."""

    async def bounded() -> None:
        async with asyncio.timeout(3 * SECONDS):
            await test()

    asyncio.run(bounded())


def error_of(response: Any) -> tuple[object, int, str]:
    """The id, number and name of an error."""
    assert set(response) == {"jsonrpc", "id", "error"}
    return response["id"], response["error"]["code"], response["error"]["data"]["name"]


class FakeState:
    """Sessions come and go; nothing else."""

    version, pid = "0.2.0", 1
    settings = SimpleNamespace(fingerprint=lambda: "")
    worker = SimpleNamespace(stuck=False)

    def __init__(self) -> None:
        self.sessions: dict[int, Session] = {}
        self.number, self.left, self.readers = 0, asyncio.Condition(), ThreadPoolExecutor(1)
        self.folders: list[object] = []
        self.connections = 0

    def answered(self) -> None:
        """The state would load its model."""

    def next_number(self) -> int:
        self.number += 1
        return self.number

    def join(self, session: Session) -> None:
        self.sessions[session.number] = session

    def leave(self, session: Session) -> None:
        if self.sessions.pop(session.number, None):
            session.cancel_all()

    def folder_of(self, session: Session) -> Any:
        return SimpleNamespace(path="/traces")

    def base_dir_of(self, session: Session) -> Any:
        return session.base_dir or "/nanochat"

    async def use_folder(self, session: Session, path: object) -> None:
        self.folders.append(path)


class Client:
    """One connection. `send` takes values or bytes; `receive` gives a decoded message, None at the end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.reader, self.writer = reader, writer

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    def frame(self, body: bytes) -> bytes:
        return body + b"\n"

    async def receive_body(self) -> bytes:
        return await self.reader.readline()

    def send(self, value: object) -> None:
        self.write(self.frame(msgspec.json.encode(value)))

    def request(self, identifier: object, method: str, params: object = None, **more: object) -> None:
        self.send({"jsonrpc": "2.0", "id": identifier, "method": method, "params": params} | more)

    def notify(self, method: str, params: object = None) -> None:
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    async def receive(self) -> Any:
        body = await asyncio.wait_for(self.receive_body(), SECONDS)
        return msgspec.json.decode(body) if body else None

    async def call(self, identifier: object, method: str, params: object = None) -> Any:
        self.request(identifier, method, params)
        return await self.receive()

    async def is_closed(self) -> bool:
        return await asyncio.wait_for(self.reader.read(), SECONDS) == b""

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


class Editor(Client):
    """The same in LSP's framing."""

    def frame(self, body: bytes) -> bytes:
        return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)

    async def receive_body(self) -> bytes:
        header = await self.reader.readuntil(b"\r\n\r\n")
        return await self.reader.readexactly(int(header.split(b":")[1]))

    async def initialize(self, **params: object) -> Any:
        least = {"processId": None, "rootUri": None, "capabilities": {}}
        answer = await self.call("initialize", "initialize", least | params)
        self.notify("initialized", {})
        return answer


class Daemon:
    """Where a test's clients connect."""

    def __init__(self, state: FakeState, path: Path, clients: list[Client]):
        self.state, self.path, self.clients = state, path, clients

    async def connect(self, kind: type[Client] = Client) -> Any:
        reader, writer = await asyncio.open_unix_connection(str(self.path), limit=1 << 26)
        client = kind(reader, writer)
        self.clients.append(client)
        return client

    async def line(self) -> Client:
        return await self.connect()

    async def editor(self, **params: object) -> Editor:
        client = await self.connect(Editor)
        await client.initialize(**params)
        return client

    async def quiet(self) -> None:
        """Wait until the daemon has done for its clients what it does without their help."""
        other = await self.line()
        for number in range(200):
            await other.call(number, "nothing")

    async def sessions(self, count: int) -> None:
        """Wait until so many are there."""
        await eventually(lambda: len(self.state.sessions) == count)

    async def gone(self) -> None:
        """Wait until no connection is left."""
        await eventually(lambda: self.state.connections == 0)


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


Handlers = dict[str, Callable[..., Coroutine[Any, Any, Any]]]


@contextlib.asynccontextmanager
async def daemon(handlers: Handlers) -> AsyncIterator[Daemon]:
    """A listening socket, with these handlers in place of the real ones."""
    state, clients = FakeState(), []
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(HANDLERS, {"hello": hello} | handlers, clear=True):
        path = Path(folder) / "s"
        server = await listen_unix(state, path)  # pyright: ignore[reportArgumentType]
        running = Daemon(state, path, clients)
        try:
            yield running
        finally:
            for client in clients:
                client.writer.transport.abort()  # whatever it has not sent or read
                await client.close()
            server.close()
            await running.sessions(0)
            await running.gone()
            state.readers.shutdown()


async def echo(context: Any, params: Any) -> object:
    """Gives back the trace's id."""
    return {"trace_id": params.trace_id}


async def cancel(context: Any, params: Any) -> object:
    """Cancels a request of the same session."""
    return {"cancelled": context.session.cancel(params.id)}


def session_of(running: Daemon) -> Session:
    """The only one."""
    (session,) = running.state.sessions.values()
    return session


class Gate:
    """A handler that waits until it is opened; knows how many have come and were cancelled."""

    def __init__(self) -> None:
        self.opened, self.changed = asyncio.Event(), asyncio.Condition()
        self.running = self.most = self.cancelled = 0

    async def __call__(self, context: Any, params: Any) -> object:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        return {"trace_id": params.trace_id}

    async def until(self, **counts: int) -> None:
        """Wait until the counters are these."""
        await eventually(lambda: all(getattr(self, name) == count for name, count in counts.items()))
