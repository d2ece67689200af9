"""Documents that are made to cost much: whoever opens them waits, and nobody else does."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from daemon.editor.open_document import LARGEST
from daemon.launch.dial import ask
from daemon.wire.framing import editor_frame
from tests.daemon.running import DaemonProcess, running_daemon

SECONDS = 120.0
MOST_SECONDS = 0.1  # that another client waits for its answer
ROUNDS = 4  # of which one must be good: other programs may keep the processor busy, a blocked loop is always blocked
MIB = 1 << 20


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    with running_daemon() as process:
        process.call("generate_and_capture", {"prompt": "ready", "max_tokens": 1})
        yield process


def message(method: str, params: Any, identifier: object = None) -> bytes:
    request = {"jsonrpc": "2.0", "method": method, "params": params}
    return editor_frame(msgspec.json.encode(request | ({} if identifier is None else {"id": identifier})))


def opening(uri: str, text: str, language: str) -> bytes:
    document = {"uri": uri, "languageId": language, "version": 1, "text": text}
    return message("textDocument/didOpen", {"textDocument": document})


def changing(uri: str, version: int, changes: list[Any]) -> bytes:
    document = {"uri": uri, "version": version}
    return message("textDocument/didChange", {"textDocument": document, "contentChanges": changes})


def replaced(line: int, start: int, end: int, text: str) -> dict[str, Any]:
    places = [{"line": line, "character": character} for character in (start, end)]
    return {"range": {"start": places[0], "end": places[1]}, "text": text}


DOCUMENTS: dict[str, tuple[str, str, list[Any]]] = {  # language, text, changes
    "one line of front matter, full of blanks": ("prompt", "seed: x" + " " * MIB + "y", []),
    "lines of blanks": ("prompt", ("seed: x" + " " * 900 + "y\n") * 1200, []),
    "a problem in each of very many lines": ("prompt", "seed: x\n" * 130_000 + "Hello", []),
    "keys that are nearly known": ("prompt", "seeed: x\n" * 110_000 + "Hello", []),
    "nothing but separators": ("prompt", "---\n" * 300_000, []),
    "very many prompts": ("prompt", "é\n---\n" * 180_000, []),
    "very many lines": ("prompt", "\n" * (LARGEST - 100), []),
    "very many lines of text": ("prompt", "a\n" * (LARGEST // 2 - 50), []),
    "one line of no ASCII": (
        "prompt", "🙂" * (LARGEST - 100), [replaced(0, 2 * n, 2 * n + 2, "é") for n in range(10_000)],
    ),
    "fences in fences": ("markdown", "```prompt\n" * 100_000 + "````\n" * 5, []),
    "long fences": ("markdown", ("`" * 5000 + "prompt\na\n") * 200, []),
    "ten thousand edits": (
        "prompt", "The cat sat\n" * 170_000, [replaced(15 * n, 4, 7, "dog\n") for n in range(9_999, -1, -1)],
    ),
    "ten thousand edits of what is too large": (
        "prompt", "The cat sat\n" * 400_000, [replaced(40 * n, 4, 7, "dog\n") for n in range(9_999, -1, -1)],
    ),
}  # fmt: skip


def timed(work: Callable[[], object]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


class RawEditor:
    """Sends prepared bytes, and looks at nothing but for the answer that is waited for."""

    def __init__(self, daemon: DaemonProcess):
        self.connection = daemon.connect()
        self.connection.settimeout(SECONDS)
        self.answered, self.received = threading.Event(), bytearray()
        self.threads = [threading.Thread(target=self._receive)]
        self.threads[0].start()

    def send(self, data: bytes) -> None:
        self.threads.append(threading.Thread(target=self.connection.sendall, args=(data,)))
        self.threads[-1].start()

    def _receive(self) -> None:
        tail = b""
        while data := self.connection.recv(1 << 16):
            self.received += data
            tail = tail[-40:] + data
            if b'"id":"last"' in tail:
                self.answered.set()

    def close(self) -> None:
        for thread in self.threads[1:]:
            thread.join()
        self.connection.shutdown(2)
        self.threads[0].join()
        self.connection.close()


def prepared(uri: str, language: str, text: str, changes: list[Any]) -> bytes:
    quick = [changing(uri, 2 + n, [replaced(n, 0, 0, "x")]) for n in range(30)]
    asked = {"textDocument": {"uri": uri}}
    return b"".join([
        message("initialize", {"processId": None, "rootUri": None, "capabilities": {}}, 0),
        message("initialized", {}),
        opening(uri, text, language),
        message("textDocument/codeLens", asked, 1),
        *quick,
        changing(uri, 99, changes),
        message("textDocument/documentSymbol", asked, "last"),
    ])  # fmt: skip


def longest_wait(daemon: DaemonProcess, data: bytes) -> float:
    """How long a client waits at most for its answers, while an editor sends this."""
    editor, waits = RawEditor(daemon), [0.0]
    with daemon.connect() as other:
        ask(other, "get_status", {})
        editor.send(data)
        ended = time.monotonic() + SECONDS
        while not editor.answered.is_set():
            assert time.monotonic() < ended, "the editor itself is never answered"
            waits.append(timed(lambda: ask(other, "get_status", {})))
    editor.close()
    return max(waits)


def longest_wait_of(daemon: DaemonProcess, count: int) -> float:
    """How long it waits while nobody sends anything."""
    with daemon.connect() as client:
        return max(timed(lambda: ask(client, "get_status", {})) for _ in range(count))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_nobody_else_waits(daemon: DaemonProcess, name: str) -> None:
    language, text, changes = DOCUMENTS[name]
    assert len(text) > 900_000
    data, waits = prepared("file:///a." + language, language, text, changes), []
    for _ in range(ROUNDS):
        busy = 4 * longest_wait_of(daemon, 100)  # by other programs
        waits.append(longest_wait(daemon, data))
        if waits[-1] < max(MOST_SECONDS, busy):
            return
    pytest.fail(f"another client waited {waits} seconds")
