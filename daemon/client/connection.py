"""One connection of the Python client: requests from any thread, a thread that reads, what the daemon tells."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from queue import Empty, SimpleQueue
from typing import Any

from daemon.client.conversation import CHUNK, ConnectionLostError, Conversation, Event, Notice, Reply, overdue
from protocol.methods import Method
from protocol.types import GenerationProgress, Params, RequestProgress

CANCEL_SECONDS = 10.0  # for the reply of a request that was cancelled


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while a request was waited for, which was cancelled then.

    Args:
        reply: what it came to all the same; None if the daemon did not say in time.
    """

    def __init__(self, reply: Reply | None):
        super().__init__()
        self.reply = reply


class Connection:
    """One connection: a lock for writing, a thread for reading."""

    def __init__(
        self, stream: socket.socket, on_notice: Callable[[Notice], None], on_lost: Callable[[ConnectionLostError], None]
    ):
        self.conversation = Conversation(on_notice)
        self._stream, self._on_lost = stream, on_lost
        self._sending = threading.Lock()
        self._reader = threading.Thread(target=self._read, name="nanoscope-client", daemon=True)
        self._reader.start()

    def begin(self, method: Method, params: Params | Mapping[str, Any]) -> Call:
        """Send a request. Raises OSError if it could not be sent: then nothing of it is done."""
        if threading.current_thread() is self._reader:
            raise RuntimeError("A notification's listener cannot wait for the daemon: call it from another thread.")
        events: SimpleQueue[Event] = SimpleQueue()
        number, request = self.conversation.request(method, params, events.put)
        self._send(request)
        return Call(self, number, method, events)

    def cancel(self, number: int) -> None:
        """Ask for an end of a request; nothing happens if the connection is gone."""
        with contextlib.suppress(OSError):
            self._send(self.conversation.cancellation(number))

    def close(self) -> None:
        """Hang up. What still waits is answered with ConnectionLostError."""
        with contextlib.suppress(OSError):
            self._stream.shutdown(socket.SHUT_RDWR)
        if threading.current_thread() is not self._reader:
            self._reader.join()
        self._stream.close()

    def _send(self, payload: bytes) -> None:
        with self._sending:
            self._stream.sendall(payload)

    def _read(self) -> None:
        reason = "it hung up"
        try:
            while data := self._stream.recv(CHUNK):
                self.conversation.feed(data)
        except OSError as error:
            reason = str(error)
        finally:
            self._on_lost(self.conversation.end(reason))


class Call:
    """A request under way. One thread reads it; any may cancel it. Iterating gives its progress as it comes."""

    def __init__(self, connection: Connection, number: int, method: Method, events: SimpleQueue[Event]):
        self.number, self.method = number, method
        self.connection, self._events = connection, events
        self._reply: Reply | None = None

    def cancel(self) -> None:
        """Ask the daemon to stop it: `result` then raises CANCELLED, unless it was done already."""
        self.connection.cancel(self.number)

    def __iter__(self) -> Iterator[GenerationProgress | RequestProgress]:
        return self._progress(None)

    def result(
        self,
        timeout: float | None = None,
        *,
        on_token: Callable[[GenerationProgress], None] | None = None,
        on_progress: Callable[[RequestProgress], None] | None = None,
    ) -> Any:
        """Wait for the reply. Ctrl-C cancels the request, waits for the daemon to stop it, and raises Interrupted.

        Args:
            timeout: seconds; None: no limit. When it is over, the request is cancelled.
            on_token, on_progress: called in this thread.

        Raises:
            RpcError: what the daemon answered.
            ConnectionLostError: it went away.
            TimeoutError.
        """
        try:
            for event in self._progress(timeout):
                if isinstance(event, GenerationProgress):
                    if on_token is not None:
                        on_token(event)
                elif on_progress is not None:
                    on_progress(event)
        except TimeoutError:
            self.cancel()
            raise
        except BaseException as error:
            self.cancel()
            self._settle()
            if isinstance(error, KeyboardInterrupt):
                raise Interrupted(self._reply) from None
            raise
        assert self._reply is not None
        return self._reply.value()

    def _progress(self, timeout: float | None) -> Iterator[GenerationProgress | RequestProgress]:
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._reply is None:
            try:
                event = self._events.get(timeout=_left(deadline))
            except Empty:
                raise overdue(self.method, timeout) from None
            if isinstance(event, Reply):
                self._reply = event
            else:
                yield event

    def _settle(self) -> None:
        with contextlib.suppress(TimeoutError):
            for _ in self._progress(CANCEL_SECONDS):
                pass


class Notifications:
    """What the daemon tells of its own accord, from now on: an iterator, which ends when the client is closed.

    Raises:
        ConnectionLostError: once, when the daemon went away; after the client's next call it goes on.
    """

    def __init__(self, names: tuple[str, ...], sinks: list[Callable[[Notice | ConnectionLostError | None], None]]):
        self._names, self._sinks = names, sinks
        self._queue: SimpleQueue[Notice | ConnectionLostError | None] = SimpleQueue()
        sinks.append(self._queue.put)

    def __iter__(self) -> Notifications:
        return self

    def __next__(self) -> Notice:
        return self.get()

    def get(self, timeout: float | None = None) -> Notice:
        """The next one. Raises TimeoutError if none comes in so many seconds, StopIteration if none will come."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                notice = self._queue.get(timeout=_left(deadline))
            except Empty:
                raise TimeoutError(f"The daemon told nothing within {timeout:g} s.") from None
            if notice is None:
                self._queue.put(None)
                raise StopIteration
            if isinstance(notice, ConnectionLostError):
                raise notice
            if not self._names or notice.name in self._names:
                return notice

    def close(self) -> None:
        """Listen no more."""
        with contextlib.suppress(ValueError):
            self._sinks.remove(self._queue.put)

    def __enter__(self) -> Notifications:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())
