"""A connection to the daemon, and one question to it. Light, for the pump."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

from daemon.peer import peer_of
from daemon.run_folder import HAS_UNIX_SOCKETS, RunFolder, read_token

LOOPBACK = "127.0.0.1"
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 20.0
RETRY_SECONDS = 0.02
LOOK_SECONDS = 2.0  # without an answer, before a look whether the daemon is stopped
CHUNK = 1 << 16


def connect(folder: RunFolder) -> socket.socket:
    """A connection to the daemon of a run folder, by its Unix socket, else by TCP.

    Raises:
        OSError: FileNotFoundError or ConnectionError where no daemon takes clients; PermissionError where it is
            somebody else's.
    """
    if not HAS_UNIX_SOCKETS:
        return connect_tcp(folder)
    try:
        return connect_unix(folder)
    except (FileNotFoundError, ConnectionError):
        with contextlib.suppress(FileNotFoundError):
            return connect_tcp(folder)
        raise


def connect_unix(folder: RunFolder) -> socket.socket:
    """A connection by the Unix socket, to a process of this user."""
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(CONNECT_SECONDS)
            connection.connect(os.fspath(folder.socket))
            _check_peer(connection, folder)
            connection.settimeout(None)
            return connection
        except OSError as error:
            connection.close()
            crowded = error.errno in (errno.EAGAIN, errno.EINTR)  # its backlog is full
            if not crowded or time.monotonic() > deadline:
                raise
            time.sleep(RETRY_SECONDS)


def _check_peer(connection: socket.socket, folder: RunFolder) -> None:
    peer = peer_of(connection)
    if peer is not None and peer.user != os.geteuid():
        raise PermissionError(errno.EPERM, f"the daemon there belongs to user {peer.user}", os.fspath(folder.socket))


def connect_tcp(folder: RunFolder) -> socket.socket:
    """A connection by loopback TCP; the token goes first."""
    port, token = read_token(folder)
    connection = socket.create_connection((LOOPBACK, port), CONNECT_SECONDS)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(f"{token}\n".encode())
        connection.settimeout(None)
    except OSError:
        connection.close()
        raise
    return connection


def answers(folder: RunFolder) -> bool:
    """Whether a daemon takes clients."""
    try:
        connect(folder).close()
    except (FileNotFoundError, ConnectionError):
        return False
    return True


def ask(
    connection: socket.socket, method: str, params: dict[str, Any], seconds: float = ANSWER_SECONDS
) -> dict[str, Any]:
    """The response to one request by the script connection, on a connection with no other request under way.

    Raises:
        ConnectionError: the daemon hung up before it answered, or what it said is no response.
        TimeoutError: it did not answer in time, or it is stopped; the message says what to do.
    """
    connection.settimeout(seconds)
    with contextlib.suppress(BrokenPipeError):  # it may have said why before it hung up
        connection.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode() + b"\n")
    for line in _lines(connection, time.monotonic() + seconds):
        response = _decode(line)
        if response.get("id") == 1 or ("error" in response and response.get("id") is None):
            return response
    raise ConnectionResetError("the daemon hung up")


def _lines(connection: socket.socket, deadline: float) -> Iterator[bytes]:
    rest = b""
    while True:
        left = deadline - time.monotonic()
        connection.settimeout(max(min(left, LOOK_SECONDS), 0.001))
        try:
            data = connection.recv(CHUNK)
        except TimeoutError:
            _check_not_stopped(connection)
            if left <= LOOK_SECONDS:
                raise TimeoutError(
                    "The daemon does not answer: run `nanoscope stop --force`, then try again."
                ) from None
            continue
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        yield from lines


def _check_not_stopped(connection: socket.socket) -> None:
    """Raise TimeoutError where the process at the other end is stopped, as by Ctrl-Z or a debugger."""
    peer = peer_of(connection)
    if peer is None:
        return
    import psutil

    with contextlib.suppress(psutil.Error, ValueError):
        if psutil.Process(peer.process).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP):
            raise TimeoutError(
                f"The daemon is stopped and answers nobody: let it go on with `kill -CONT {peer.process}`, or end it "
                "with `nanoscope stop --force`."
            )


def _decode(line: bytes) -> dict[str, Any]:
    try:
        response = json.loads(line)
    except ValueError as error:
        raise ConnectionAbortedError("the daemon does not speak JSON-RPC") from error
    return response if isinstance(response, dict) else {}
