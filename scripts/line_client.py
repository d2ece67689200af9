"""The smallest client there can be: JSON lines over a socket, for measuring the daemon without measuring a client."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec


class LineClient:
    """One connection through the script connection; answers are read where they are asked for.

    Args:
        connection: to the daemon, connected.
    """

    def __init__(self, connection: socket.socket):
        self.connection = connection
        self._numbers = itertools.count(1)
        self._file = connection.makefile("rb", buffering=1 << 18)

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self.connection.close()

    def send(self, method: str, params: Mapping[str, Any] | None = None) -> int:
        """Ask without waiting; the request's id."""
        number = next(self._numbers)
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params or {}}
        self.connection.sendall(msgspec.json.encode(request) + b"\n")
        return number

    def messages(self) -> Iterator[dict[str, Any]]:
        """What comes, until the daemon hangs up."""
        for line in self._file:
            yield msgspec.json.decode(line)

    def answer(self, number: int) -> dict[str, Any]:
        """The whole response to a request; what else comes before it is dropped."""
        for message in self.messages():
            if message.get("id") == number and "method" not in message:
                return message
        raise ConnectionError("The daemon hung up before it answered.")

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """Ask and wait; RuntimeError with what an error response says."""
        response = self.answer(self.send(method, params))
        if "error" in response:
            raise RuntimeError(f"{method}: {response['error']}")
        return response["result"]
