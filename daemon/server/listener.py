"""Lets clients in: checks who they are, and tells scripts from editors by the first byte that they send."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import hmac
import importlib
import logging
import os
import socket
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.garbage import no_garbage_collection
from daemon.peer import peer_of
from daemon.server.accepting import Accepting
from daemon.server.connection import Client, ConnectionHandler
from daemon.server.named_models import Introduction
from daemon.wire.decoding import BYTE_ORDER_MARK
from daemon.wire.framing import line_frame
from daemon.wire.introduction import LIMIT, MARK
from daemon.wire.messages import encode_response, failure
from daemon.wire.read_messages import read
from nanochat.errors import StorageError
from protocol.errors import RpcError

if TYPE_CHECKING:
    from daemon.server.state import ServerState

CLIENTS_LIMIT = 256  # connections at once
WAITING_LIMIT = 256  # connections that the system keeps until they are accepted
TOKEN_SECONDS = 2.0
TOKEN_LIMIT = 128  # bytes of the line with the token
FOREIGN_MARKS = (b"\xff\xfe", b"\xfe\xff")  # of UTF-16 and UTF-32
WHITE = b" \t\r\n"  # JSON's white space: before the first message it means nothing
LOCALHOST = "127.0.0.1"
log = logging.getLogger("nanoscope.connection")

Check = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]]


async def listen_unix(state: ServerState, path: Path) -> Accepting:
    """Listen on a Unix socket that only this user can open; nothing may lie at `path`. Raises OSError."""
    return accept_on(state, bound_unix(path), is_same_user)


def bound_unix(path: Path) -> socket.socket:
    """A Unix socket that listens, for this user alone. Raises OSError."""
    with contextlib.ExitStack() as undo:
        listening = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        listening.bind(str(path))
        os.chmod(path, 0o600)  # before it listens: nobody came in sooner
        listening.listen(WAITING_LIMIT)
        undo.pop_all()
    return listening


def accept_on(state: ServerState, listening: socket.socket, check: Check) -> Accepting:
    """Serve whoever connects to a socket that listens, and passes the check."""

    def why_not() -> str | None:
        crowded = state.connections >= CLIENTS_LIMIT
        return f"{CLIENTS_LIMIT} clients are connected already: close some, then connect again." if crowded else None

    def refusal(reason: str) -> bytes:
        return line_frame(encode_response(failure(None, RpcError("QUEUE_FULL", reason))))

    listening.setblocking(False)
    return Accepting(listening, functools.partial(_accept, state, check), why_not, refusal)


async def listen_tcp(state: ServerState, token: str, port: int = 0) -> tuple[Accepting, int]:
    """Listen on this machine's loopback address; a client's first line must be the token.

    Args:
        port: 0: any that is free.

    Returns:
        What accepts, and its port.
    """
    listening = socket.create_server((LOCALHOST, port), backlog=WAITING_LIMIT)
    return accept_on(state, listening, functools.partial(_knows_token, token.encode())), listening.getsockname()[1]


async def serve_streams(state: ServerState, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one client on streams that are open already, until it is done."""
    try:
        await _serve(state, reader, writer)
    finally:
        writer.close()


async def _accept(state: ServerState, check: Check, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection; its error is nobody else's."""
    state.connections += 1
    try:
        if await check(reader, writer):
            await _serve(state, reader, writer)
    except asyncio.CancelledError:  # the daemon ends; asyncio would report it as a fault
        pass
    except Exception:
        log.exception("A connection ended by a fault of the daemon's own")
    finally:
        state.connections -= 1
        writer.close()


async def is_same_user(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Where the system tells who connects, only this user may; elsewhere the folder's mode keeps others out."""
    peer = peer_of(writer.get_extra_info("socket"))
    if peer is not None and peer.user != os.getuid():
        log.warning("Process %d of user %d was turned away", peer.process, peer.user)
        return False
    return True


async def _knows_token(token: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    token_line = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(TOKEN_SECONDS):
            token_line = await _read_line(reader, TOKEN_LIMIT)
    if hmac.compare_digest(token_line, token):
        return True
    log.warning("A connection without the right token was turned away")
    return False


async def _read_line(reader: asyncio.StreamReader, limit: int) -> bytes:
    """A line without its end; nothing where none ends within `limit` bytes. What follows it stays unread."""
    line = b""
    while len(line) < limit and (byte := await read(reader, 1)):
        if byte == b"\n":
            return line.removesuffix(b"\r")
        line += byte
    return b""


async def _serve(state: ServerState, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        first, introduction = await _first(reader), None
        if first[:1] == MARK:
            line, rest = await _whole_line(reader, first)
            introduction = Introduction.read(line)
            first = await _first(reader, rest)
    except RpcError as error:
        writer.write(line_frame(encode_response(failure(None, error))))
        return
    if first:
        serve = await _handler(SCRIPTS if first[:1] in (b"{", b"[") else EDITORS)
        with contextlib.suppress(StorageError):  # of which the client was told
            await serve(state, Client(reader, writer, first, introduction))


async def _first(reader: asyncio.StreamReader, begun: bytes = b"") -> bytes:
    """The first bytes that mean something, after white space and the mark of UTF-8; nothing at the end.

    Raises RpcError PARSE_ERROR, where they are of UTF-16 or UTF-32.
    """
    first = begun.lstrip(WHITE).removeprefix(BYTE_ORDER_MARK).lstrip(WHITE)
    while not first or BYTE_ORDER_MARK.startswith(first) or any(mark.startswith(first) for mark in FOREIGN_MARKS):
        if not (data := await read(reader)):
            return b""
        first = (first + data).lstrip(WHITE)
        if first.startswith(FOREIGN_MARKS):
            raise RpcError("PARSE_ERROR", "This begins with the mark of UTF-16 or UTF-32: send UTF-8.")
        first = first.removeprefix(BYTE_ORDER_MARK).lstrip(WHITE)
    return first


async def _whole_line(reader: asyncio.StreamReader, begun: bytes) -> tuple[bytes, bytes]:
    """A line of which the beginning is there, and what has come after it; cut where it is too long or ends."""
    while b"\n" not in begun and len(begun) < LIMIT and (data := await read(reader)):
        begun += data
    line, _, rest = begun.partition(b"\n")
    return line[:LIMIT], rest


SCRIPTS, EDITORS = "daemon.server.script_connection", "daemon.editor.connection"
_handlers: dict[str, ConnectionHandler] = {}
_loading = threading.Lock()


async def _handler(module: str) -> ConnectionHandler:
    """What serves a client; loaded at the first one, in a thread: pygls alone takes a third of a second."""
    return _handlers.get(module) or await asyncio.to_thread(_load, module)


def _load(module: str) -> ConnectionHandler:
    with _loading:  # clients that come together wait for the first one's: lsprotocol's converter cannot be made twice
        if module not in _handlers:
            with no_garbage_collection():  # none comes of importing, and looking for it takes a quarter of the time
                _handlers[module] = importlib.import_module(module).load()
                gc.freeze()  # what is there now, stays: collections need not look at it ever again
        return _handlers[module]
