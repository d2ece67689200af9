"""Where clients find the daemon: its socket, TCP token and lock. What somebody removes of them is made anew."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.run_folder import HAS_UNIX_SOCKETS, RunFolder, private_folder, write_token
from daemon.server.lifetime_lock import LifetimeLock, identity
from daemon.server.listener import accept_on, bound_unix, is_same_user, listen_tcp
from protocol.errors import RpcError

if TYPE_CHECKING:
    from daemon.server.accepting import Accepting
    from daemon.server.state import ServerState

LOOK_SECONDS = 1.0  # between looks at the folder
log = logging.getLogger("nanoscope.serving")


class Address:
    """The daemon's sockets and the files that lead to them.

    Args:
        state: serves who comes.
        folder: where the files lie.
        lock: held.
    """

    def __init__(self, state: ServerState, folder: RunFolder, lock: LifetimeLock):
        self._state, self._folder, self._lock = state, folder, lock
        self._accepting: dict[str, Accepting] = {}
        self._files: dict[Path, tuple[int, int] | None] = {}  # which are ours
        self._token, self._port, self._token_time = secrets.token_urlsafe(32), 0, 0
        self._problem = ""

    async def open(self) -> None:
        """Listen. Whatever lies at our paths is nobody's any more: the lock says so. Raises OSError."""
        for path in (self._folder.socket, self._folder.token):
            path.unlink(missing_ok=True)
        if self._state.settings.tcp or not HAS_UNIX_SOCKETS:
            self._accepting["tcp"], self._port = await listen_tcp(self._state, self._token)
            self._write_token()
        if HAS_UNIX_SOCKETS:
            self._listen(self._bind())

    async def keep(self) -> None:
        """See to it that clients find the way, until another daemon has this one's place."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                if not await asyncio.to_thread(self._keeps_place):
                    return
                await self._restore()
                self._problem = ""
            except (OSError, RpcError) as error:
                if str(error) != self._problem:  # said once, tried again
                    self._problem = str(error)
                    log.warning("The daemon cannot be reached by new clients: %s", error)

    def close(self) -> None:
        """Let nobody else in, and leave no file that leads here."""
        for path, ours in self._files.items():
            with contextlib.suppress(OSError):
                if ours is not None and identity(path) == ours:
                    path.unlink()
        for accepting in self._accepting.values():
            accepting.close()

    def _keeps_place(self) -> bool:
        """Hold the lock that is in the folder now; False where another process does."""
        private_folder(self._folder.path)
        if self._lock.is_in_place():
            return True
        kept = self._lock.retake()
        log.warning("The run folder was changed from outside: %s", "made anew" if kept else "another daemon serves it")
        return kept

    async def _restore(self) -> None:
        if self._port and await asyncio.to_thread(self._is_lost, self._folder.token):
            await asyncio.to_thread(self._write_token)
        if HAS_UNIX_SOCKETS and await asyncio.to_thread(self._is_lost, self._folder.socket):
            self._listen(await asyncio.to_thread(self._bind))

    def _is_lost(self, path: Path) -> bool:
        """Whether a path leads elsewhere, or others than its user may follow it."""
        if identity(path) != self._files.get(path):
            return True
        status = os.lstat(path)
        if HAS_UNIX_SOCKETS and stat.S_IMODE(status.st_mode) != 0o600:
            os.chmod(path, 0o600)
        return path == self._folder.token and status.st_mtime_ns != self._token_time

    def _write_token(self) -> None:
        path = self._folder.token
        write_token(self._folder, self._port, self._token)
        self._files[path], self._token_time = identity(path), os.lstat(path).st_mtime_ns

    def _bind(self) -> socket.socket:
        path = self._folder.socket
        path.unlink(missing_ok=True)
        bound = bound_unix(path)
        self._files[path] = identity(path)
        return bound

    def _listen(self, bound: socket.socket) -> None:
        before = self._accepting.pop("unix", None)
        self._accepting["unix"] = accept_on(self._state, bound, is_same_user)
        if before is not None:
            before.close()
