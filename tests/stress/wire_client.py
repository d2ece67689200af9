"""A bare client of either kind of connection, which says exactly what it is told to; errors come as RpcError."""

from __future__ import annotations

import itertools
import json
import socket
import time
from collections import deque
from collections.abc import Mapping
from typing import IO, Any

from protocol.errors import RpcError

FRAMINGS = ("line", "editor")
ANSWER_SECONDS = 60.0


def frame(framing: str, message: object) -> bytes:
    """A message as its framing has it; what is bytes already is the message's text."""
    text = message if isinstance(message, bytes) else json.dumps(message).encode()
    return text + b"\n" if framing == "line" else b"Content-Length: %d\r\n\r\n%s" % (len(text), text)


def read_line(file: IO[bytes]) -> bytes:
    """The next line, b"" at the end."""
    return file.readline()


def read_editor(file: IO[bytes]) -> bytes:
    """The next message's body, b"" at the end."""
    length = 0
    while (line := file.readline().strip()) != b"":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return file.read(length)


READERS = {"line": read_line, "editor": read_editor}


class WireClient:
    """One connection. Notifications that come while an answer is awaited are kept.

    Args:
        connection: to the daemon, with nothing said.
        framing: "line" or "editor".
    """

    def __init__(self, connection: socket.socket, framing: str = "line"):
        self.connection, self.framing = connection, framing
        self.notifications: deque[dict[str, Any]] = deque()
        self._file = connection.makefile("rb")
        self._numbers = itertools.count(1)
        self._answers: dict[Any, dict[str, Any]] = {}  # that came before they were asked for

    def __enter__(self) -> WireClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self.connection.close()

    def introduce(self, name: str, **more: Any) -> Any:
        """Say hello, or initialize; notifications come from now on. `more`: such as traces_dir."""
        if self.framing == "line":
            return self.call("hello", {"client_name": name, **more})
        about = {"processId": None, "rootUri": None, "capabilities": {}, "clientInfo": {"name": name}}
        result = self.call("initialize", about | {"initializationOptions": more})
        self.notify("initialized", {})
        return result

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.connection.sendall(data)

    def send(self, method: str, params: object = None, request_id: object = None) -> Any:
        """Send a request; its id."""
        number = next(self._numbers) if request_id is None else request_id
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": {} if params is None else params}
        self.write(frame(self.framing, request))
        return number

    def notify(self, method: str, params: object) -> None:
        """Send a notification."""
        self.write(frame(self.framing, {"jsonrpc": "2.0", "method": method, "params": params}))

    def receive(self, seconds: float = ANSWER_SECONDS) -> Any:
        """The next message, of whatever kind; ConnectionError where the daemon hung up."""
        self.connection.settimeout(seconds)
        text = READERS[self.framing](self._file)
        if not text:
            raise ConnectionResetError("the daemon hung up")
        return json.loads(text)

    def response(self, seconds: float = ANSWER_SECONDS) -> Any:
        """The next response, or array of responses, to whatever; notifications before it are kept."""
        deadline = time.monotonic() + seconds
        while True:
            message = self.receive(max(0.001, deadline - time.monotonic()))
            if isinstance(message, list) or "method" not in message:
                return message
            self.notifications.append(message)

    def answer(self, number: object, seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
        """The response to a request; TimeoutError where none comes."""
        deadline = time.monotonic() + seconds
        while number not in self._answers:
            message = self.response(max(0.001, deadline - time.monotonic()))
            self._answers[message["id"]] = message
        return self._answers.pop(number)

    def call(self, method: str, params: Mapping[str, Any] | None = None, seconds: float = ANSWER_SECONDS) -> Any:
        """Ask and wait. Raises RpcError with what the daemon refused, OSError where the connection was lost."""
        response = self.answer(self.send(method, params), seconds)
        if "error" in response:
            raise RpcError.from_json(response["error"])
        return response["result"]

    def notification(self, method: str, seconds: float = ANSWER_SECONDS, **having: Any) -> dict[str, Any]:
        """The params of the next notification of a kind, one that has these values; TimeoutError."""
        deadline = time.monotonic() + seconds
        while True:
            message = self.notifications.popleft() if self.notifications else None
            message = message or self.receive(max(0.001, deadline - time.monotonic()))
            if isinstance(message, dict) and message.get("method") == method:
                params = message["params"]
                if all(params.get(name) == value for name, value in having.items()):
                    return params
