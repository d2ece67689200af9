"""The listener: who may come in, and what the first byte tells of them."""

import asyncio
import contextlib
import itertools
import logging
import os
import socket
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from daemon.server import listener
from daemon.server.listener import listen_tcp, listen_unix, serve_streams
from tests.daemon.connections import Client, Editor, FakeState, daemon, echo, error_of

TRACE = {"trace_id": "a"}
TOKEN = "a-token"
REQUEST = b'{"jsonrpc":"2.0","id":1,"method":"get_summary","params":{"trace_id":"a"}}'


def run(test: Any) -> None:
    asyncio.run(test())


@pytest.mark.parametrize("first", [REQUEST, b"[" + REQUEST + b"]", b" \r\n\t\n" + REQUEST])
def test_a_bracket_means_a_script(first: bytes) -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            client = await running.line()
            for place in range(len(first)):  # a byte at a time
                client.write(first[place : place + 1])
                await asyncio.sleep(0)
            client.write(b"\n")
            answer = await client.receive()
            assert (answer[0] if first[:1] == b"[" else answer)["result"] == TRACE

    run(test)


@pytest.mark.parametrize("before", [b"", b"\r\n \t\n"])
def test_anything_else_means_an_editor(before: bytes) -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            client = await running.connect(Editor)
            client.write(before)
            assert "capabilities" in (await client.initialize())["result"]
            other = await running.connect(Editor)
            other.write(before + b"nonsense\n")
            answer = await other.receive()
            assert (answer["id"], answer["error"]["code"]) == (None, -32700)
            assert await other.is_closed()

    run(test)


def test_one_that_says_nothing_is_no_session_and_may_go() -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            silent = [await running.line() for _ in range(3)]
            silent[1].write(b" \n")
            talking = await running.line()
            assert (await talking.call(1, "get_summary", TRACE))["result"] == TRACE
            assert len(running.state.sessions) == 1
            await silent[0].close()
            silent[1].writer.write_eof()
            assert await silent[1].is_closed()

    run(test)


def test_the_socket_is_its_users_alone() -> None:
    async def test() -> None:
        async with daemon({}) as running:
            assert stat.S_IMODE(running.path.stat().st_mode) == 0o600

    run(test)


def test_a_path_that_is_taken_is_an_error_and_leaves_no_open_socket(tmp_path: Path) -> None:
    async def test() -> None:
        path = tmp_path / "s"
        path.touch()
        with pytest.raises(OSError, match="in use"):
            await listen_unix(FakeState(), path)  # pyright: ignore[reportArgumentType]

    run(test)


def test_a_process_of_another_user_is_turned_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            user = os.getuid()
            monkeypatch.setattr(os, "getuid", lambda: user + 1)  # the daemon's; the kernel says the client's
            client = await running.line()
            client.write(REQUEST + b"\n")
            with contextlib.suppress(ConnectionResetError):
                assert await client.receive() is None
            monkeypatch.undo()
            assert (await (await running.line()).call(1, "get_summary", TRACE))["result"] == TRACE

    with caplog.at_level(logging.WARNING):
        run(test)
    assert "turned away" in caplog.text


@contextlib.asynccontextmanager
async def over_tcp() -> AsyncIterator[int]:
    async with daemon({"get_summary": echo}) as running:
        server, port = await listen_tcp(running.state, TOKEN)  # pyright: ignore[reportArgumentType]
        try:
            yield port
        finally:
            server.close()


@contextlib.asynccontextmanager
async def connected(port: int, kind: type[Client] = Client) -> AsyncIterator[Any]:
    client = kind(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield client
    finally:
        await client.close()


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("pieces", [1, 100])
def test_over_tcp_the_first_line_is_the_token_on_both_kinds(end: bytes, pieces: int) -> None:
    async def test() -> None:
        async with over_tcp() as port, connected(port) as line, connected(port, Editor) as editor:
            for place in range(len(TOKEN)) if pieces > 1 else []:
                line.write(TOKEN[place].encode())
                await asyncio.sleep(0)
            line.write((b"" if pieces > 1 else TOKEN.encode()) + end + REQUEST + b"\n")
            assert (await line.receive())["result"] == TRACE
            editor.write(TOKEN.encode() + end)
            assert "result" in await editor.initialize()
            assert (await editor.call(1, "get_summary", TRACE))["result"] == TRACE

    run(test)


@pytest.mark.parametrize(
    "first",
    [b"\n", b"a-toke\n", b"a-token2\n", b" a-token\n", b"\xff\n", b"a" * 129, b"a-token" + b" " * 130 + b"\n", b""],
)
def test_over_tcp_without_the_token_nothing_is_answered(first: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "TOKEN_SECONDS", 60.0 if first else 0.1)

    async def test() -> None:
        async with over_tcp() as port, connected(port) as client:
            client.write(first + (REQUEST + b"\n" if first.endswith(b"\n") else b""))
            with contextlib.suppress(ConnectionResetError):
                assert await client.is_closed()

    run(test)


def test_over_tcp_only_this_machine_is_listened_to() -> None:
    async def test() -> None:
        async with daemon({}) as running:
            server, port = await listen_tcp(running.state, TOKEN)  # pyright: ignore[reportArgumentType]
            assert server.socket.getsockname() == ("127.0.0.1", port)
            server.close()

    run(test)


def test_one_client_too_many_is_told_so_and_a_place_is_free_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "CLIENTS_LIMIT", 3)

    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            clients = [await running.line() for _ in range(3)]
            for client in clients:
                await client.call(1, "get_summary", TRACE)
            refused = await running.line()
            answer = await refused.receive()
            assert (answer["id"], answer["error"]["data"]["name"]) == (None, "QUEUE_FULL")
            assert await refused.is_closed()
            await clients[0].close()
            await running.sessions(2)
            assert (await (await running.line()).call(1, "get_summary", TRACE))["result"] == TRACE

    run(test)


@pytest.mark.parametrize("kind", [Client, Editor])
def test_streams_that_are_open_already_are_served_until_the_client_is_done(kind: type[Client]) -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            ours, theirs = socket.socketpair()
            serving = asyncio.ensure_future(serve_streams(running.state, *await asyncio.open_connection(sock=ours)))  # pyright: ignore[reportArgumentType]
            client = kind(*await asyncio.open_connection(sock=theirs))
            if isinstance(client, Editor):
                await client.initialize()
            assert (await client.call(1, "get_summary", TRACE))["result"] == TRACE
            client.writer.write_eof()
            await serving
            assert await client.is_closed()
            await client.close()

    run(test)


def test_a_connection_that_breaks_ends_its_own_connection_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise ValueError("broken")

    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            monkeypatch.setitem(listener._handlers, listener.EDITORS, broken)
            client = await running.connect(Editor)
            client.write(b"x")
            assert await client.is_closed()
            assert (await (await running.line()).call(1, "get_summary", TRACE))["result"] == TRACE

    run(test)
    assert "fault of the daemon's own" in caplog.text


def test_clients_that_come_together_load_what_serves_them_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two editors that started with the daemon had its converter made twice at once, which lsprotocol does not bear."""
    loads: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    class Module:
        @staticmethod
        def load() -> listener.ConnectionHandler:
            loads.append("begun")
            begun.set()
            assert go_on.wait(10)
            return echo_nothing

    async def echo_nothing(*_: object) -> None:
        """Serves nobody."""

    async def both() -> None:
        first = asyncio.create_task(listener._handler("a_module"))
        await asyncio.to_thread(begun.wait, 10)
        second = asyncio.create_task(listener._handler("a_module"))
        await asyncio.sleep(0)  # it has asked
        asyncio.get_running_loop().call_later(0.05, go_on.set)
        assert await first is await second is echo_nothing

    monkeypatch.setattr(listener, "_handlers", {})
    monkeypatch.setattr(listener.importlib, "import_module", lambda name: Module)
    asyncio.run(both())
    assert loads == ["begun"]


@pytest.mark.parametrize("cuts", [(), (1,), (2,), (1, 2, 3)])
def test_a_byte_order_mark_in_front_changes_nothing(cuts: tuple[int, ...]) -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            for kind in (Client, Editor):
                client = await running.connect(kind)
                body = REQUEST if kind is Client else b'{"jsonrpc":"2.0","id":1,"method":"nothing"}'
                data = b"\xef\xbb\xbf" + client.frame(body)
                for start, stop in itertools.pairwise((0, *cuts, len(data))):
                    client.write(data[start:stop])
                    await client.writer.drain()
                    await running.quiet()
                answer = await client.receive()
                assert answer["id"] == 1
                assert ("result" in answer) == (kind is Client)  # an editor has not sent `initialize`

    run(test)


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-be", "utf-32"])
def test_another_encoding_is_told_in_a_sentence(codec: str) -> None:
    mark = b"" if codec in ("utf-16", "utf-32") else "\ufeff".encode(codec)

    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            client = await running.line()
            client.write(mark + REQUEST.decode().encode(codec))
            answer = await client.receive()
            assert error_of(answer) == (None, -32700, "PARSE_ERROR")
            assert "send UTF-8" in answer["error"]["message"]
            assert await client.is_closed()

    run(test)
