"""Accepts connections as long as there is room for them; for whom there is none is told so and let go."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable

from daemon.server.open_files import EXHAUSTED, is_in_reserve, too_many

PAUSE_SECONDS = 1.0  # where not even one connection can be accepted to be refused
MOMENT_SECONDS = 0.01
SAID_LIMIT = 1 << 16  # bytes of what one said before it is refused; unread they could cost it the answer
log = logging.getLogger("nanoscope.connection")

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Accepting:
    """A listening socket and the task that accepts from it, until `close`.

    asyncio's own servers write a traceback for every connection that they cannot accept, hundreds a second.

    Args:
        listening: not blocking; closed at the end.
        serve: serves one connection.
        why_not: why no other connection may come just now, or None.
        refusal: the bytes that tell a client why.
    """

    def __init__(
        self, listening: socket.socket, serve: Serve, why_not: Callable[[], str | None], refusal: Callable[[str], bytes]
    ):
        self.socket, self._serve, self._why_not, self._refusal = listening, serve, why_not, refusal
        self._spare: int | None = None  # a descriptor to give up for a moment, so that somebody can be refused
        self._exhausted = False
        self._beginning: set[asyncio.Task[None]] = set()
        self._take_spare()
        self._task = asyncio.create_task(self._accept())
        self._task.add_done_callback(self._closed)

    def close(self) -> None:
        """Accept no more. Who came already is served on."""
        self._task.cancel()

    async def _accept(self) -> None:
        while True:
            try:
                connection, _ = await asyncio.get_running_loop().sock_accept(self.socket)
            except OSError as error:  # or a client that went before it was accepted
                await (self._relieve() if error.errno in EXHAUSTED else asyncio.sleep(MOMENT_SECONDS))
                continue
            self._receive(connection)
            await asyncio.sleep(0)  # however many come, the others have their turn

    def _closed(self, task: asyncio.Task[None]) -> None:
        self.socket.close()
        if self._spare is not None:
            os.close(self._spare)
        if not task.cancelled():
            log.error("No more clients can come", exc_info=task.exception())

    def _receive(self, connection: socket.socket) -> None:
        reason = self._why_not()
        if reason is None and is_in_reserve(connection.fileno()):
            self._say_once()
            reason = f"{too_many()}: close some clients, or raise `ulimit -n` and start the daemon anew."
        elif reason is None:
            self._exhausted = False
        if reason is not None:
            self._refuse(connection, reason)
            return
        task = asyncio.create_task(self._begin(connection))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    async def _begin(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        try:
            await loop.connect_accepted_socket(
                lambda: asyncio.StreamReaderProtocol(reader, self._serve, loop=loop), connection
            )
        except OSError:
            connection.close()

    def _refuse(self, connection: socket.socket, reason: str) -> None:
        with connection, contextlib.suppress(OSError):
            connection.setblocking(False)
            connection.send(self._refusal(reason))
            connection.shutdown(socket.SHUT_WR)
            connection.recv(SAID_LIMIT)

    async def _relieve(self) -> None:
        """Every descriptor is in use: refuse one client with the spare one, or wait."""
        self._say_once()
        if self._spare is None:
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            os.close(self._spare)
            with contextlib.suppress(OSError):
                connection, _ = self.socket.accept()
                self._refuse(connection, f"{too_many()}: close some clients.")
        self._take_spare()

    def _take_spare(self) -> None:
        self._spare = None
        with contextlib.suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY)

    def _say_once(self) -> None:
        if not self._exhausted:
            self._exhausted = True
            log.warning("%s: no more clients are let in until some go", too_many())
