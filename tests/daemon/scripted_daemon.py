"""A daemon that says what a test wants: real sockets, a list of answers for each connection in turn."""

import json
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

from daemon.version import PACKAGE_VERSION, PROTOCOL_VERSION

GREETING = {
    "protocol_version": PROTOCOL_VERSION,
    "package_version": PACKAGE_VERSION,
    "fingerprint": "",
    "session": 1,
    "pid": 1,
    "traces_dir": "/traces",
}
NO_TRACES = {"traces": [], "total": 0, "cursor": None}
Answer = Callable[[dict[str, Any]], bytes | None]  # None: hang up


def result(value: Any) -> Answer:
    """Answers with a result."""
    return lambda request: line({"id": request["id"], "result": value})


def error(name: str, code: int) -> Answer:
    """Answers with an error."""
    return lambda request: line({"id": request["id"], "error": {"code": code, "message": name, "data": {"name": name}}})


def hang_up(request: dict[str, Any]) -> None:
    """Goes away instead of an answer."""


def line(message: dict[str, Any]) -> bytes:
    """A message as the script connection frames it."""
    return json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"


class ScriptedDaemon:
    """Each connection greets, then gives its answers one after the other; then it hangs up.

    Args:
        scripts: the answers of each connection.
    """

    def __init__(self, *scripts: Sequence[Answer]):
        self.scripts = list(scripts)
        self.requests: list[list[str]] = []  # methods, by connection
        self._threads: list[threading.Thread] = []

    def connect(self) -> socket.socket:
        """A new connection, as Client's `connect`."""
        ours, theirs = socket.socketpair()
        asked: list[str] = []
        self.requests.append(asked)
        thread = threading.Thread(target=self._serve, args=(ours, self.scripts.pop(0), asked))
        self._threads.append(thread)
        thread.start()
        return theirs

    def join(self) -> None:
        """Wait until all connections have ended."""
        for thread in self._threads:
            thread.join(8)
            assert not thread.is_alive()

    def _serve(self, stream: socket.socket, answers: Sequence[Answer], asked: list[str]) -> None:
        with stream, stream.makefile("rb") as lines:
            for answer in [result(GREETING), *answers]:
                received = lines.readline()
                if not received:
                    return
                request = json.loads(received)
                asked.append(request["method"])
                payload = answer(request)
                if payload is None:
                    return
                stream.sendall(payload)
            lines.readline()  # until the client goes, or says more than was expected
