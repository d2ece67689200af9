"""Prompt documents when things go wrong: text that changes, lists without end, editors that are silent."""

import asyncio
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException

from daemon.editor.prompt_parser import MOST_PROMPTS
from daemon.editor.questions import ANSWER_SECONDS
from tests.daemon.editor.test_documents import URI, capture, storage, with_client
from tests.daemon.faults.test_hostile_documents import message
from tests.daemon.lsp_client import LspClient
from tests.daemon.running import DaemonProcess, running_daemon

MODIFIED = -32801
DOCUMENT = lsp.TextDocumentIdentifier(URI)


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    with running_daemon() as process:
        process.call("generate_and_capture", {"prompt": "ready", "max_tokens": 1})
        yield process


async def lens(client: LspClient, index: int = 0) -> lsp.Command:
    return [command for command in await client.lenses(URI) if command.title == "Capture"][index]


async def actions(client: LspClient, line: int) -> Any:
    span = lsp.Range(lsp.Position(line, 0), lsp.Position(line, 0))
    return await client.text_document_code_action_async(lsp.CodeActionParams(DOCUMENT, span, lsp.CodeActionContext([])))


async def click(client: LspClient, command: lsp.Command) -> Any:
    return await client.execute(command.command, *(command.arguments or ()))


def captured(folder: Path) -> list[tuple[str, int]]:
    """What was captured, the latest first, with its seed."""
    entries = storage(folder).list_entries()
    made = [storage(folder).get_trace_summary(entry.trace_id)["generation"]["seed"] for entry in entries]
    return [(entry.prompt, seed) for entry, seed in zip(entries, made, strict=True)]


# Text that has changed


def test_an_old_lens_captures_its_own_prompt_whatever_was_asked_since(daemon: DaemonProcess, tmp_path: Path) -> None:
    async def test(client: LspClient) -> None:
        client.open(URI, "max_tokens: 1\nfirst\n---\nmax_tokens: 1\nsecond")
        old = await lens(client, 1)
        client.change(URI, (0, 0), (0, 0), "new\n---\n")
        assert await actions(client, 3)
        await lens(client)
        await click(client, old)
        assert captured(tmp_path) == [("second", 42)]
        client.change(URI, (2, 0), (6, 6), "")
        assert await actions(client, 0)
        with pytest.raises(JsonRpcException, match="try again") as caught:
            await click(client, old)
        assert caught.value.code == -32602

    with_client(daemon, tmp_path, test)


def test_of_prompts_with_the_same_text_the_one_with_the_same_settings(daemon: DaemonProcess, tmp_path: Path) -> None:
    async def test(client: LspClient) -> None:
        client.open(URI, "max_tokens: 1\nseed: 1\nHello\n---\nmax_tokens: 1\nseed: 2\nHello")
        old = [await lens(client, index) for index in range(2)]
        client.change(URI, (0, 0), (0, 0), "new\n---\n")
        await click(client, old[1])
        assert captured(tmp_path) == [("Hello", 2)]
        client.change(URI, (7, 6), (7, 7), "3")
        with pytest.raises(JsonRpcException, match="try again"):  # either may be meant
            await click(client, old[1])
        client.change(URI, (0, 0), (6, 0), "")
        await click(client, old[1])
        assert captured(tmp_path)[0] == ("Hello", 3)

    with_client(daemon, tmp_path, test)


def test_a_prompt_edited_in_its_place_is_not_captured_by_its_old_lens(daemon: DaemonProcess, tmp_path: Path) -> None:
    async def test(client: LspClient) -> None:
        client.open(URI, "max_tokens: 1\nfirst")
        old = await lens(client)
        client.change(URI, (1, 0), (1, 5), "secret")
        with pytest.raises(JsonRpcException, match="try again"):
            await click(client, old)
        client.close(URI)
        client.open(URI, "max_tokens: 1\nanother")  # its first version again
        with pytest.raises(JsonRpcException, match="try again"):
            await click(client, old)
        with pytest.raises(JsonRpcException, match="try again"):
            await client.execute("nanoscope.capturePrompt", URI, 0, 7)

    with_client(daemon, tmp_path, test)
    assert captured(tmp_path) == []


PLACE = {"line": 1, "character": 1}
SPAN = {"start": PLACE, "end": PLACE}


@pytest.mark.parametrize(
    ("method", "place"),
    [
        ("textDocument/hover", {"position": PLACE}),
        ("textDocument/inlayHint", {"range": SPAN}),
        ("textDocument/codeAction", {"range": SPAN, "context": {"diagnostics": []}}),
    ],
)
def test_an_answer_about_a_place_is_never_of_later_text(daemon: DaemonProcess, method: str, place: Any) -> None:
    asked = {"textDocument": {"uri": URI}} | place
    insertion = {"text": "new\n---\n", "range": {"start": PLACE | {"line": 0}, "end": PLACE | {"line": 0}}}
    change = {"textDocument": {"uri": URI, "version": 2}, "contentChanges": [insertion]}
    item = {"uri": URI, "languageId": "prompt", "version": 1, "text": "max_tokens: 1\nHello"}
    with daemon.connect() as editor, editor.makefile("rb") as told:
        editor.sendall(message("initialize", {"processId": None, "rootUri": None, "capabilities": {}}, 0))
        answer_to(told, 0)
        editor.sendall(message("initialized", {}) + message("textDocument/didOpen", {"textDocument": item}))
        editor.sendall(message(method, asked, 1))
        assert "result" in answer_to(told, 1)
        editor.sendall(message(method, asked, 2) + message("textDocument/didChange", change))
        answer = answer_to(told, 2)
        assert (answer["error"]["code"], answer["error"]["data"]["name"]) == (MODIFIED, "CONTENT_MODIFIED")
        editor.sendall(message(method, asked, 3))
        assert "result" in answer_to(told, 3)


def answer_to(told: io.BufferedReader, identifier: int) -> Any:
    """The answer to a request; what else comes is dropped."""
    while True:
        size = int(told.readline().split(b":")[1])
        assert told.readline() == b"\r\n"
        value = msgspec.json.decode(told.read(size))
        if value.get("id") == identifier and "method" not in value:
            return value


def test_symbols_and_lenses_are_of_the_text_that_is_there_when_they_come(daemon: DaemonProcess, tmp_path: Path) -> None:
    async def test(client: LspClient) -> None:
        client.open(URI, "a\n---\n" * 1500)
        symbols = asyncio.ensure_future(client.text_document_document_symbol_async(lsp.DocumentSymbolParams(DOCUMENT)))
        lenses = asyncio.ensure_future(client.lenses(URI))
        await asyncio.sleep(0)
        client.change(URI, (0, 0), (5000, 0), "b")
        assert [symbol.name for symbol in await symbols or ()] == ["b"]
        ((_, _, version, key),) = [list(one.arguments or ()) for one in await lenses]
        assert version == 2 and await lens(client)
        assert key == list((await lens(client)).arguments or ())[3]

    with_client(daemon, tmp_path, test)


# Lists


def test_no_list_is_longer_than_an_editor_can_show(daemon: DaemonProcess, tmp_path: Path) -> None:
    async def test(client: LspClient) -> None:
        client.open(URI, "seed: x\na\n---\n" * 20_000)
        found = await client.diagnostics(URI, 1)
        assert len(found) == 200
        assert "18,000 more begin here" in found[0].message and "more problems" in found[-1].message
        symbols: Any = await client.text_document_document_symbol_async(lsp.DocumentSymbolParams(DOCUMENT))
        assert len(symbols) == len(await client.titles(URI)) == MOST_PROMPTS

    with_client(daemon, tmp_path, test)


# Editors that do not answer


def test_an_editor_that_never_answers_waits_for_nothing(daemon: DaemonProcess, tmp_path: Path) -> None:
    async def test(client: LspClient) -> None:
        client.silent |= {"window/workDoneProgress/create", "window/showDocument"}
        client.open(URI, "max_tokens: 1\nHello")
        begun = time.monotonic()
        result = await capture(client)
        trace_id = result["trace_id"] if isinstance(result, dict) else result.trace_id
        await client.execute("nanoscope.showTrace", trace_id)
        assert time.monotonic() - begun < ANSWER_SECONDS
        assert not client.of("$/progress")
        (said,) = await client.until(lambda: client.of("window/showMessage"))
        assert trace_id in said.message
        for _ in range(3):  # what it never answers is not asked again
            await capture(client)
        await client.execute("nanoscope.showTrace", trace_id)
        await client.until(lambda: len(client.of("window/showMessage")) == 2)
        assert len(client.of("window/showDocument")) == len(client.of("window/workDoneProgress/create")) == 1
        client.late.set()

    with_client(daemon, tmp_path, test)
