"""Prompt documents when things go wrong: text that changes, traces that are no good, editors that are silent."""

import asyncio
import io
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import msgspec
import numpy as np
import pytest
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException

from daemon.document_captures import Captures
from daemon.editor_questions import ANSWER_SECONDS
from daemon.prompt_documents import MOST_PROMPTS, parse
from nanochat.catalogue import FileKey
from nanochat.trace_storage import TraceEntry
from tests.daemon.lsp_client import LspClient
from tests.daemon.running import DaemonProcess, running_daemon
from tests.daemon.test_documents import URI, capture, storage, with_client
from tests.daemon.test_hostile_documents import message

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
        (found,) = await lenses
        assert list(found.arguments or ()) == list((await lens(client)).arguments or ())
        assert list(found.arguments or ())[2] == 2

    with_client(daemon, tmp_path, test)


def test_a_change_that_is_too_large_to_be_read_is_told_and_the_document_not_taken_for_known(
    daemon: DaemonProcess, tmp_path: Path
) -> None:
    async def test(client: LspClient) -> None:
        client.open(URI, "Hello")
        place = lsp.Range(lsp.Position(0, 0), lsp.Position(0, 0))
        changes = [lsp.TextDocumentContentChangePartial(range=place, text="x")] * 40_000
        identifier = lsp.VersionedTextDocumentIdentifier(2, URI)
        client.text_document_did_change(lsp.DidChangeTextDocumentParams(identifier, changes))
        client.change(URI, (0, 0), (0, 0), "y")
        (found,) = await client.diagnostics(URI, 2)
        assert "close it and open it again" in found.message
        assert await client.titles(URI) == []
        client.open(URI, "Hello")
        assert await client.titles(URI) == ["Capture"]

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


# Traces that are no good


BIG = 10**400


def spoiled(document: dict[str, Any], how: str) -> dict[str, Any]:
    """A trace's document with one thing wrong that is none of ours."""
    generation = document["generation"]
    wrong: dict[str, Any] = {
        "timings": {"generation": generation | {"timings": {"prefill_seconds": BIG, "decode_seconds": 1}}},
        "not a number": {"generation": generation | {"timings": {"prefill_seconds": "x", "decode_seconds": True}}},
        "seed": {"generation": generation | {"seed": BIG}},
        "settings of any form": {"generation": generation | {"max_tokens": [1], "top_k": {}, "temperature": "0"}},
        "no generation": {"generation": [BIG]},
        "metadata": {"metadata": {"big": BIG}},
        "messages": {"messages": [BIG]},
        "response": {"response": BIG},
        "long response": {"response": "x" * 300_000},
        "tokens": {"tokens": {"input_tokens": [[BIG]], "output_tokens": [[BIG]]}},
        "texts": {"tokens": document["tokens"] | {"input_text": [BIG], "output_text": BIG}},
        "long texts": {"tokens": document["tokens"] | {"input_text": ["x" * 100_000] * 2}},
        "analysis": {"analysis": {"logits": {"surprisal_per_token": [BIG], "prompt": {"surprisal_per_token": [BIG]}}}},
        "alternatives": {"analysis": {"logits": {"prompt": {"top_tokens_per_position": [
            [{"id": 1, "text": "x" * 10_000, "probability": 0.1}] * 10_000] * 3}}}},
        "data_info": {"data_info": {"tensors": BIG, "num_layers": "x"}},
        "timestamp": {"timestamp": "9" * 5000},
        "category": {"category": BIG},
        "half characters": {"response": "\ud83d"},
    }  # fmt: skip
    return document | wrong[how]


WRONG = (
    "timings", "not a number", "seed", "settings of any form", "no generation", "metadata", "messages", "response",
    "long response", "tokens", "texts", "long texts", "analysis", "alternatives", "data_info", "timestamp", "category",
    "half characters",
)  # fmt: skip


def test_a_bad_trace_costs_itself_alone(daemon: DaemonProcess, tmp_path: Path) -> None:
    sections = [f"max_tokens: 1\nseed: {seed}\nsome text\n---\n" for seed in range(len(WRONG) + 1)]
    last = 4 * len(WRONG) + 2  # the line of the last prompt, whose trace is good

    async def test(client: LspClient) -> None:
        client.open(URI, "".join(sections))
        await capture(client, index=len(WRONG))
        (good,) = (tmp_path / "traces").glob("*.json")
        whole = json.loads(good.read_text())
        for seed, how in enumerate(WRONG):
            whole["generation"]["seed"] = seed
            text = json.dumps(spoiled(whole, how) | {"trace_id": f"bad_{seed}"})
            good.with_name(f"bad_{seed}.json").write_text(text)
        names = {f"bad_{seed}" for seed in range(len(WRONG))}
        await client.until(lambda: {name for told in client.of("traces_changed") for name in told.added} >= names)
        titles = await client.titles(URI)
        assert titles[-3:-1] == ["Capture", "Show trace"] and titles[-1].startswith("1 token")
        assert [hint.position.line for hint in await client.hints(URI)][-1] == last
        assert "token" in (await client.hover(URI, last, 1)).contents.value
        for line in range(2, last, 4):
            said = await client.hover(URI, line, 1)
            assert said is None or len(said.contents.value) < 20_000

    with_client(daemon, tmp_path, test)


def test_an_integer_that_no_reader_takes_costs_its_own_trace_alone(daemon: DaemonProcess, tmp_path: Path) -> None:
    told_of = {"traces_dir": str(tmp_path / "traces"), "notifications": False}
    hello = {"jsonrpc": "2.0", "id": 0, "method": "hello", "params": told_of}
    params = f'{{"prompt": "bad one", "max_tokens": 1, "metadata": {{"k": {BIG}}}}}'
    request = f'{{"jsonrpc": "2.0", "id": 1, "method": "generate_and_capture", "params": {params}}}'
    with daemon.connect() as script, script.makefile("rb") as told:
        for line in (msgspec.json.encode(hello), request.encode()):
            script.sendall(line + b"\n")
            assert msgspec.json.decode(told.readline())["id"] in (0, 1)  # saved, or refused

    async def test(client: LspClient) -> None:
        client.open(URI, "max_tokens: 1\nbad one\n---\nmax_tokens: 1\ngood one")
        await capture(client, index=1)
        titles = await client.titles(URI)
        assert titles[-3:-1] == ["Capture", "Show trace"] and titles[-1].startswith("1 token")
        assert (await client.hints(URI))[-1].position.line == 4
        assert "token" in (await client.hover(URI, 4, 1)).contents.value
        said = await client.hover(URI, 1, 1)
        assert said is None or said.contents.value

    with_client(daemon, tmp_path, test)


@pytest.mark.parametrize("error", [KeyError("generation"), ValueError(), OverflowError(), RecursionError(), OSError()])
def test_whatever_is_wrong_with_a_trace_the_next_one_is_found(
    tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    (prompt,) = parse(["Hello"], "prompt").prompts
    for response in ("older", "newer"):
        document = {"prompt": "Hello", "response": response, "tokens": {}, "generation": {}}
        storage(tmp_path).create_trace(document, {"output_logits": np.zeros((1, 1, 2), np.float32)})
    kept = storage(tmp_path)
    bad, read = kept.list_traces()[0], kept.get_trace_summary
    folder: Any = SimpleNamespace(entries=kept.list_entries, storage=kept)

    def broken(trace_id: str) -> dict[str, Any]:
        if trace_id == bad:
            raise error
        return read(trace_id)

    with mock.patch.object(kept, "get_trace_summary", broken):
        captures = Captures()
        for _ in range(2):
            (found,) = captures.of(folder, [prompt])
            assert found is not None and found.response == "older"
    assert caplog.text.count("is left out of what editors show") == 1


def test_very_many_prompts_and_traces_with_the_same_text_are_matched_in_one_go(tmp_path: Path) -> None:
    prompts = parse([f"{line}\n" for n in range(2000) for line in (f"seed: {n}", "Hello", "---")], "prompt").prompts
    entry = TraceEntry("a", "", None, "Hello", "", 1, 1, 1, "json", True, "", tmp_path, "a.json", 0.0, FileKey(0, 0, 0))
    entries = [replace(entry, name=f"{n}.json", trace_id=str(n)) for n in range(3000)]
    summary = {"prompt": "Hello", "response": "", "generation": {"seed": -1}}
    stored: Any = SimpleNamespace(get_trace_summary=lambda trace_id: summary)
    begun = time.process_time()
    assert Captures().of(SimpleNamespace(entries=lambda: entries, storage=stored), prompts) == [None] * 2000  # type: ignore[arg-type]
    assert time.process_time() - begun < 5  # of six million comparisons it would be a quarter of a minute


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
