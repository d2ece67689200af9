"""The Python client: typed calls, streaming, notifications; it mends its connection, and threads may share it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

from daemon.client.base import (
    ClientState,
    GenerationOptions,
    ProgressListener,
    TensorOptions,
    Timeout,
    TokenListener,
    method_named,
)
from daemon.client.calls import Calls
from daemon.client.connection import Call, Connection, Notifications
from daemon.client.conversation import ConnectionLostError, Notice, array_of, joined, pieces_of
from daemon.client.generations import Generations
from protocol import methods
from protocol.errors import RpcError
from protocol.methods import Method
from protocol.types import ForkTraceResult, GenerateAndCaptureParams, GenerateAndCaptureResult, InterveneResult, Params

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Call", "Client", "ConnectionLostError", "Notice", "Notifications"]

Results = Generations[GenerateAndCaptureResult, InterveneResult, ForkTraceResult]


class Client(Calls, Results, ClientState[Connection]):
    """A client of the daemon, which is started if need be. Use it in a `with`; for the arguments see ClientState.

    When the daemon has gone away, the next call connects anew. A read that was under way is repeated then; a generation
    never is: it raises ConnectionLostError.

    Raises:
        RpcError: DAEMON_NOT_STARTED, VERSION_MISMATCH, RUN_FOLDER_UNSAFE, SETTING_INVALID: from any call.
    """

    new_lock = threading.Lock

    def __enter__(self) -> Client:
        self.connected()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def connected(self) -> Connection:
        """The connection as it is, or a new one where it is gone."""
        with self._changing:
            if self.closed:
                raise ConnectionLostError("This client is closed: make another.")
            if self._connection is not None and self._connection.conversation.lost is None:
                return self._connection
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            connection = Connection(self.connect(), self.told, self.lost)
            try:
                self._greeting = connection.begin(methods.HELLO, self.hello).result(self.timeout)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
            return connection

    def close(self) -> None:
        """Hang up; the daemon stops what this client left under way."""
        with self._changing:
            self.closed = True
        if self._connection is not None:  # without the lock, for which a listener may be waiting
            self._connection.close()
        self.ended()

    def start(self, method: Method | str, params: Params | Mapping[str, Any] | None = None) -> Call:
        """Send a request and give it back as it runs: to iterate over, wait for, or cancel."""
        row = method_named(method)
        connection = self.connected()
        with contextlib.suppress(OSError):
            return connection.begin(row, params or {})
        connection.close()  # it was broken and nobody had noticed; what could not be sent was not done
        return self.connected().begin(row, params or {})

    def call(
        self,
        method: Method | str,
        params: Params | Mapping[str, Any] | None = None,
        *,
        timeout: Timeout = "default",
        on_token: TokenListener | None = None,
        on_progress: ProgressListener | None = None,
    ) -> Any:
        """Ask and wait for the result, as `Call.result` does.

        Args:
            method: a row of the method table, or its name.
            params: their struct, or a mapping, which the daemon checks.
        """
        row, attempt = method_named(method), 1
        seconds = self.seconds_for(row, timeout)
        while True:
            running = self.start(row, params)
            try:
                return running.result(seconds, on_token=on_token, on_progress=on_progress)
            except (ConnectionLostError, RpcError) as error:
                if not self.may_repeat(row, error, attempt):
                    raise
            running.connection.close()
            attempt += 1

    def stream(self, prompt: str | None = None, **options: Unpack[GenerationOptions]) -> Call:
        """The same as a Call: iterating gives each token (GenerationProgress) and where the request stands."""
        params = GenerateAndCaptureParams(prompt=prompt, stream=True, **options)
        return self.start(methods.GENERATE_AND_CAPTURE, params)

    def tensor(self, trace_id: str, name: str, **options: Unpack[TensorOptions]) -> np.ndarray:
        """`get_tensor` as an array, sent as bytes of `dtype`, in pieces if need be; uint8 comes back as float32."""
        try:
            return array_of(self.get_tensor(trace_id=trace_id, name=name, encoding="base64", **options))
        except RpcError as error:
            spans = pieces_of(error, options.get("rows"))
        return joined([self.tensor(trace_id, name, **{**options, "rows": span}) for span in spans])

    def notifications(self, *names: str) -> Notifications:
        """An iterator over notifications from now on: those named, or all."""
        notifications = Notifications(names, self._subscriptions)
        self.connected()
        return notifications
