"""Documents stay in step with their editors: half a character is kept, and no change is passed over in silence."""

from collections.abc import Iterator
from typing import Any

import pytest

from scripts.stress_daemon_client import WireClient, frame
from tests.daemon.running import DaemonProcess, running_daemon


@pytest.fixture(scope="module")
def process() -> Iterator[DaemonProcess]:
    with running_daemon() as running:
        yield running


HALF_URI = "file:///x/s.prompt"


def said(method: str, params: Any, **more: Any) -> bytes:
    return frame("editor", {"jsonrpc": "2.0", "method": method, "params": params} | more)


def opened(text: str) -> bytes:
    item = {"uri": HALF_URI, "languageId": "prompt", "version": 1, "text": text}
    return said("textDocument/didOpen", {"textDocument": item})


def changed(start: int, end: int, text: str, version: int) -> bytes:
    span = {"start": {"line": 0, "character": start}, "end": {"line": 0, "character": end}}
    document = {"uri": HALF_URI, "version": version}
    return said("textDocument/didChange", {"textDocument": document, "contentChanges": [{"range": span, "text": text}]})


def symbol_of(client: WireClient) -> Any:
    found = client.call("textDocument/documentSymbol", {"textDocument": {"uri": HALF_URI}})
    return found and found[0]["name"]


def test_half_a_character_is_kept_until_its_other_half_comes(process: DaemonProcess) -> None:
    with WireClient(process.connect(), "editor") as client:
        client.introduce("halves")
        client.write(opened("abc") + changed(1, 1, "\ud83d", 2))
        assert symbol_of(client) == "a\ufffdbc"
        client.write(changed(2, 2, "\ude42", 3))
        assert symbol_of(client) == "a🙂bc"
        client.write(changed(3, 4, "B", 4) + changed(1, 2, "", 5))
        assert symbol_of(client) == "a\ufffdBc"


LOST = {
    "not JSON": lambda: frame("editor", changed(0, 0, "x", 2).partition(b"\r\n\r\n")[2][:-2]),
    "not UTF-8": lambda: frame("editor", changed(0, 0, "xyz", 2).partition(b"\r\n\r\n")[2].replace(b"xyz", b"x\xff")),
    "too large": lambda: changed(0, 0, "x" * (17 << 20), 2),
    "too deep": lambda: frame(
        "editor", changed(0, 0, "xyz", 2).partition(b"\r\n\r\n")[2].replace(b'"xyz"', b"[" * 200 + b"]" * 200)
    ),
    "of another form": lambda: changed(0, -1, "x", 2),
    "beyond a double": lambda: frame(
        "editor", changed(0, 0, "x", 2).partition(b"\r\n\r\n")[2].replace(b'": 0', b'": 1e999')
    ),
    "no request": lambda: frame("editor", changed(0, 0, "x", 2).partition(b"\r\n\r\n")[2].replace(b"2.0", b"1.0")),
    "too many": lambda: said(
        "textDocument/didChange",
        {"textDocument": {"uri": HALF_URI, "version": 2}, "contentChanges": [{"text": "x"}] * 10_001},
    ),
}


TOLD_IN_THE_DOCUMENT = ("of another form", "beyond a double")


@pytest.mark.parametrize("name", LOST)
def test_a_document_whose_change_cannot_be_taken_is_followed_no_longer_rather_than_wrongly(
    process: DaemonProcess, name: str
) -> None:
    with WireClient(process.connect(), "editor") as client:
        client.introduce("lost")
        client.write(opened("abc"))
        assert symbol_of(client) == "abc"
        client.write(LOST[name]())
        assert not symbol_of(client)
        if name in TOLD_IN_THE_DOCUMENT:
            while "close it and open it again" not in str(client.notification("textDocument/publishDiagnostics")):
                pass
        else:
            told = client.notification("window/showMessage")
            assert HALF_URI in told["message"] and "close and open it again" in told["message"]
        client.write(opened("anew"))
        assert symbol_of(client) == "anew"
