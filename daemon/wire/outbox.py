"""Everything that goes to one client: in order, from any thread, in bounded memory, and nobody waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable

from daemon.wire.framing import MIB

LIMIT = 32 * MIB  # bytes that may wait
HIGH_WATER = MIB  # bytes from which answers wait for the client to read
STALL_SECONDS = 30.0  # without the client taking a byte
FLUSH_SECONDS = 1.0  # at the end
log = logging.getLogger("nanoscope.connection")


def _nothing() -> None:
    pass


class StreamOutbox:
    """The way to a client, over an asyncio stream.

    A client for which more than `limit` bytes wait, or that takes none for `stall_seconds`, is dropped.

    Args:
        on_closed: called on the loop, once, when nothing more will be sent.
    """

    def __init__(
        self,
        writer: asyncio.StreamWriter,
        on_closed: Callable[[], None] = _nothing,
        limit: int = LIMIT,
        stall_seconds: float = STALL_SECONDS,
    ):
        self._writer, self._transport = writer, writer.transport
        self._on_closed, self._limit, self._stall_seconds = on_closed, limit, stall_seconds
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._lock = threading.Lock()
        self._queue: list[bytes] = []  # not yet with the transport
        self._queued = 0  # their bytes
        self._overflowed = False
        self._written = 0  # bytes given to the transport, ever
        self._taken, self._taken_at = 0, 0.0  # of those by the client, and when it took some last
        self._timer: asyncio.TimerHandle | None = None
        self.closed = False
        self._transport.set_write_buffer_limits(high=HIGH_WATER)

    def send(self, payload: bytes) -> None:
        """Queue whole frames; never blocks. Threads may call it."""
        with self._lock:
            waking = not self._queue
            if self._queued > self._limit:
                self._overflowed = True  # the loop, which would take them, is late: it drops the client
            elif payload:
                self._queue.append(payload)
                self._queued += len(payload)
        if threading.get_ident() == self._thread:
            self._flush()
        elif waking:
            self._soon(self._flush)

    def close(self) -> None:
        """Send what is queued, for at most a second, then hang up. Threads may call it; harmless when repeated."""
        if threading.get_ident() == self._thread:
            self._close()
        else:
            self._soon(self._close)

    async def room(self) -> None:
        """Wait until the client has read enough for one more answer, or is gone."""
        while not self.closed and self._transport.get_write_buffer_size() > HIGH_WATER:
            await self._drain()

    async def sent(self) -> None:
        """Wait until everything has been taken, or the client is gone."""
        self._transport.set_write_buffer_limits(high=0)
        await self._drain()

    async def _drain(self) -> None:
        with contextlib.suppress(OSError):  # the client is gone: its connection finds out by itself
            await self._writer.drain()
        if self._transport.is_closing():
            self._end()

    def _soon(self, function: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and the client gone with it
            self._loop.call_soon_threadsafe(function)

    def _flush(self) -> None:
        with self._lock:
            payloads, self._queue, self._queued = self._queue, [], 0
        if self.closed or self._transport.is_closing():
            return
        for payload in payloads:
            self._transport.write(payload)
            self._written += len(payload)
        waiting = self._transport.get_write_buffer_size()
        if waiting > self._limit or self._overflowed:
            self._drop(f"more than {self._limit:,} bytes wait for it")
        elif waiting and self._timer is None:
            self._taken, self._taken_at = self._written - waiting, self._loop.time()
            self._watch()

    def _watch(self) -> None:
        self._timer = self._loop.call_later(self._stall_seconds / 4, self._look)

    def _look(self) -> None:
        """Has the client taken anything lately?"""
        self._timer = None
        waiting = self._transport.get_write_buffer_size()
        if not waiting or self.closed:
            return
        now = self._loop.time()
        if self._written - waiting > self._taken:
            self._taken, self._taken_at = self._written - waiting, now
        if now - self._taken_at >= self._stall_seconds:
            self._drop(f"it has read nothing for {now - self._taken_at:.0f} seconds")
        else:
            self._watch()

    def _drop(self, why: str) -> None:
        log.warning("A client is dropped: %s", why)
        self._transport.abort()
        self._end()

    def _close(self) -> None:
        self._flush()
        if not self.closed:
            self._transport.close()  # writes what it still has
            if self._transport.get_write_buffer_size():
                self._loop.call_later(FLUSH_SECONDS, self._transport.abort)
            self._end()

    def _end(self) -> None:
        if not self.closed:
            self.closed = True
            if self._timer is not None:
                self._timer.cancel()
            self._on_closed()
