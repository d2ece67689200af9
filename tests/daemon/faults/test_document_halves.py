"""Documents stay in step with their editors: half a character is kept, and no change is passed over in silence."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from protocol.errors import RpcError
from tests.daemon.running import DaemonProcess, running_daemon
from tests.stress.wire_client import WireClient, frame


@pytest.fixture(scope="module")
def process() -> Iterator[DaemonProcess]:
    with running_daemon() as running:
        yield running
        assert "Traceback" not in running.settings.log_file.read_text()


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


OF_2 = {"uri": HALF_URI, "version": 2}
PIECE = {"range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}}, "text": "x"}


def changed_by(params: Any) -> bytes:
    return said("textDocument/didChange", params)


def opened_with(more: Any) -> bytes:
    item = {"uri": HALF_URI, "languageId": "prompt", "version": 1} | more
    return said("textDocument/didOpen", {"textDocument": item})


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
    "half a character for a number": lambda: changed_by(
        {"textDocument": OF_2, "contentChanges": [PIECE | {"range": {"start": {"line": "\ud83d", "character": 0}}}]}
    ),
    "too many brackets": lambda: changed_by({"textDocument": OF_2, "contentChanges": [PIECE] * 40_000}),
    "too many values": lambda: changed_by({"textDocument": OF_2, "contentChanges": [{"x": [0] * 500_001}]}),
    "too many brackets, its document last": lambda: changed_by(
        {"contentChanges": [PIECE] * 40_000, "textDocument": OF_2}
    ),
    "too large, its document last": lambda: changed_by(
        {"contentChanges": [{"text": "x" * (17 << 20)}], "textDocument": OF_2}
    ),
    "method last": lambda: frame(
        "editor",
        json.dumps(
            {"params": {"contentChanges": [PIECE] * 40_000, "textDocument": OF_2}, "method": "textDocument/didChange"}
            | {"jsonrpc": "2.0"}
        ).encode(),
    ),
}


def told_once_of(client: WireClient) -> str:
    """What the user is told of the document, once, and it is said in the document too."""
    told: list[Any] = []
    marked = False
    while not told or not marked:
        message = client.notifications.popleft() if client.notifications else client.receive()
        told += [message] if message.get("method") == "window/showMessage" else []
        marked |= "close it and open it again" in str(message) and "diagnostics" in message.get("params", {})
    symbol_of(client)
    assert len([*told, *shown(client)]) == 1
    return str(told[0]["params"]["message"])


def shown(client: WireClient) -> list[Any]:
    return [message for message in client.notifications if message["method"] == "window/showMessage"]


def capture(client: WireClient) -> None:
    client.call("workspace/executeCommand", {"command": "nanoscope.capturePrompt", "arguments": [HALF_URI, 0]})


@pytest.mark.parametrize("name", LOST)
def test_a_document_whose_change_cannot_be_taken_is_followed_no_longer_rather_than_wrongly(
    process: DaemonProcess, name: str
) -> None:
    with WireClient(process.connect(), "editor") as client:
        client.introduce("lost")
        client.write(opened("max_tokens: 1\nabc"))
        assert symbol_of(client) == "abc"
        client.write(LOST[name]() + changed(0, 0, "y", 3) + LOST[name]())
        assert not symbol_of(client)
        assert not client.call("textDocument/codeLens", {"textDocument": {"uri": HALF_URI}})
        with pytest.raises(RpcError, match="close it and open it again"):
            capture(client)
        told = told_once_of(client)
        assert HALF_URI in told and "close it and open it again" in told
        client.write(opened("max_tokens: 1\nanew"))
        assert symbol_of(client) == "anew"
        capture(client)


def test_the_whole_text_makes_a_document_known_again(process: DaemonProcess) -> None:
    with WireClient(process.connect(), "editor") as client:
        client.introduce("lost")
        client.write(opened("abc") + LOST["too many brackets"]())
        assert not symbol_of(client)
        client.write(changed_by({"textDocument": OF_2 | {"version": 3}, "contentChanges": [{"text": "whole"}]}))
        assert symbol_of(client) == "whole"
        client.write(changed(0, 1, "W", 4))
        assert symbol_of(client) == "Whole"


OTHER_URI = "file:///x/other.prompt"


@pytest.mark.parametrize("name", ["too large", "too many brackets"])
def test_another_document_stays_as_it_is(process: DaemonProcess, name: str) -> None:
    with WireClient(process.connect(), "editor") as client:
        client.introduce("lost")
        item = {"uri": OTHER_URI, "languageId": "prompt", "version": 1, "text": "other"}
        client.write(opened("abc") + said("textDocument/didOpen", {"textDocument": item}) + LOST[name]())
        found = client.call("textDocument/documentSymbol", {"textDocument": {"uri": OTHER_URI}})
        assert found[0]["name"] == "other" and not symbol_of(client)


NOT_OPENED = {
    "too large": lambda: opened("x" * (17 << 20)),
    "too many values": lambda: opened_with({"text": "abc", "x": [0] * 500_001}),
    "too many brackets": lambda: opened_with({"text": "abc", "x": [[]] * 100_001}),
    "of another form": lambda: opened_with({"text": ["abc"]}),
}


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("name", NOT_OPENED)
def test_a_document_that_cannot_be_opened_is_told_of_too(process: DaemonProcess, name: str, again: bool) -> None:
    with WireClient(process.connect(), "editor") as client:
        client.introduce("lost")
        client.write((opened("before") if again else b"") + NOT_OPENED[name]())
        assert not symbol_of(client)
        with pytest.raises(RpcError, match="close it and open it again"):
            capture(client)
        assert HALF_URI in told_once_of(client)
        client.write(opened("anew"))
        assert symbol_of(client) == "anew"


def test_nobody_is_told_of_what_holds_no_prompts(process: DaemonProcess) -> None:
    with WireClient(process.connect(), "editor") as client:
        client.introduce("lost")
        item = {"uri": "file:///x/y.py", "languageId": "python", "version": 1, "text": "", "x": [0] * 500_001}
        client.write(said("textDocument/didOpen", {"textDocument": item}))
        assert not symbol_of(client)
        assert not shown(client)
