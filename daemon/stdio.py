"""`nanoscope stdio`: bytes from stdin to the daemon and back to stdout, whatever they say. It imports little."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading

from daemon.connecting import connect_or_start
from daemon.introduction import introduction_line
from daemon.settings import load_settings, read_flags
from nanochat.standard_streams import STDIN, notice
from protocol.errors import RpcError

CHUNK = 256 * 1024
PRIVATE = "--private"


def main(words: list[str], output: int) -> int:
    """Serve one client on stdin and on the descriptor `output`, by the daemon or, with --private, by this process.

    Returns:
        The exit status: 0 when the conversation ended in good order, 1 when there was none, 2 for a wrong flag.
    """
    private = PRIVATE in words
    try:
        settings, origins = load_settings(read_flags([word for word in words if word != PRIVATE]))
    except RpcError as error:
        return fail(error, 2)
    if private:
        from daemon.serving import serve_private

        return serve_private(settings, origins, STDIN, output)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        with connect_or_start(settings, "stdio") as connection:
            with contextlib.suppress(OSError):  # it has hung up, as the pump will tell
                connection.sendall(introduction_line(settings))
            return pump(connection, STDIN, output)
    except RpcError as error:
        return fail(error, 1)


def fail(problem: object, status: int) -> int:
    """Say on stderr why there is no conversation; the exit status."""
    notice(f"nanoscope stdio: {problem}")
    return status


def pump(connection: socket.socket, source: int, target: int) -> int:
    """Copy bytes both ways until the daemon hangs up; at the end of `source` the sending half alone is closed.

    Args:
        connection: to the daemon, blocking.
        source: a descriptor to read.
        target: a descriptor to write; if nobody reads it any more, the conversation ends.

    Returns:
        0 when the daemon or the reader hung up, 1 when the connection broke.
    """
    threading.Thread(target=_send, args=(connection, source), name="stdin", daemon=True).start()
    try:
        while chunk := connection.recv(CHUNK):
            if not _write(target, chunk):
                break
    except OSError as error:
        return fail(error, 1)
    return 0


def _send(connection: socket.socket, source: int) -> None:
    with contextlib.suppress(OSError):
        while chunk := _read(source):
            connection.sendall(chunk)
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)


def _read(descriptor: int) -> bytes:
    while True:
        try:
            return os.read(descriptor, CHUNK)
        except BlockingIOError:  # whoever started us shares its end with us and does not wait itself
            select.select([descriptor], [], [])


def _write(descriptor: int, chunk: bytes) -> bool:
    """Write all of it; False if nobody reads any more."""
    rest = memoryview(chunk)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
        except OSError:
            return False
    return True
