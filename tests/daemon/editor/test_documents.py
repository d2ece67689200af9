"""Prompt documents by LSP, with a real daemon: pygls's client captures, hovers, edits, and is told."""

import asyncio
import re
import shutil
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException

from daemon.client.sync import Client
from daemon.editor.documents import Documents
from nanochat.trace_storage import TraceStorage
from protocol.types import Message
from tests.daemon.lsp_client import LspClient, lsp_client
from tests.daemon.running import DaemonProcess, running_daemon

URI = "file:///a/test.prompt"
TEXT = "max_tokens: 4\ntemperature: 0\nThe capital of 🙂 France is\n---\nHello\n"
ENDLESS = "max_tokens: 2000\ntemperature: 0\napple, river, stone, apple, river,"
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    """One daemon for all tests here, with its model loaded; each test has a traces folder of its own."""
    with running_daemon() as process:
        process.call("generate_and_capture", {"prompt": "ready", "max_tokens": 1})
        yield process


def with_client(
    daemon: DaemonProcess, folder: Path, test: Callable[[LspClient], Awaitable[None]], *more: Any, **options: Any
) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), lsp_client(daemon, folder / "traces", *more, **options) as client:
            await test(client)

    asyncio.run(run())


async def capture(client: LspClient, uri: str = URI, index: int = 0) -> Any:
    """What the lens Capture of a prompt answers."""
    lenses = [command for command in await client.lenses(uri) if command.title == "Capture"]
    return await client.execute(lenses[index].command, *(lenses[index].arguments or ()))


def storage(folder: Path) -> TraceStorage:
    return TraceStorage(folder / "traces")


def test_capture_show_hint_and_hover(daemon: DaemonProcess, tmp_path: Path) -> None:
    async def test(client: LspClient) -> None:
        client.open(URI, TEXT)
        assert await client.titles(URI) == ["Capture", "Capture"]
        assert await client.hints(URI) == ()
        assert await client.hover(URI, 2, 5) is None
        result = await capture(client)
        trace_id = result["trace_id"] if isinstance(result, dict) else result.trace_id
        with storage(tmp_path).open_trace(trace_id) as trace:
            response, generation = trace.document["response"], trace.document["generation"]
            ids = trace.document["tokens"]["input_tokens"]
        assert (generation["max_tokens"], generation["temperature"], generation["seed"]) == (4, 0.0, 42)
        titles = await client.titles(URI)
        assert titles[:2] == ["Capture", "Show trace"] and titles[3:] == ["Capture"]
        assert re.fullmatch(r"4 tokens · \d\.\d bits mean surprisal · \d\.\d s", titles[2])
        (hint,) = await client.hints(URI)
        assert (hint.position, hint.label) == (lsp.Position(2, 27), "→ " + response.replace("\n", "↵"))
        assert hint.tooltip.value == response
        none_seen = lsp.Range(lsp.Position(3, 0), lsp.Position(9, 0))
        assert await client.hints(URI, none_seen) == ()
        hover = await client.hover(URI, 2, 5)
        assert hover.range == lsp.Range(lsp.Position(2, 3), lsp.Position(2, 11))
        assert hover.contents.value.startswith(f"```text\n·capital\ntoken {ids[2]} · position 2 · surprisal ")
        assert await client.hover(URI, 2, 27) is None  # behind the end
        assert await client.hover(URI, 0, 3) is None  # front matter
        assert await client.hover(URI, 4, 1) is None  # not captured

    with_client(daemon, tmp_path, test)


def test_a_capture_is_known_again_by_whoever_opens_the_document(daemon: DaemonProcess, tmp_path: Path) -> None:
    async def first(client: LspClient) -> None:
        client.open(URI, TEXT)
        await capture(client)

    async def second(client: LspClient) -> None:
        client.open("file:///other.md", "# A\n\n  ```prompt\n  The capital of 🙂 France is\n  ```\n", "markdown")
        titles = await client.titles("file:///other.md")
        assert titles[:2] == ["Capture", "Show trace"]
        hover = await client.hover("file:///other.md", 3, 7)
        assert hover.range == lsp.Range(lsp.Position(3, 5), lsp.Position(3, 13))
        (hint,) = await client.hints("file:///other.md")
        assert hint.position == lsp.Position(3, 29)

    with_client(daemon, tmp_path, first)
    with_client(daemon, tmp_path, second)


@pytest.mark.parametrize(
    ("front_matter", "same"),
    [
        ("", True),
        ("max_tokens: 4\n", True),
        ("category: another\nseed: 42\n", True),
        ("chat: false\n", True),
        ("top_k: 50\n", True),
        ("max_tokens: 5\n", False),
        ("temperature: 0.6\n", False),
        ("seed: 1\n", False),
        ("top_k: 0\n", False),
        ("chat: true\n", False),
    ],
)
def test_a_capture_made_as_the_front_matter_says(
    daemon: DaemonProcess, tmp_path: Path, front_matter: str, same: bool
) -> None:
    async def test(client: LspClient) -> None:
        client.open(URI, "max_tokens: 4\ntemperature: 0\nHello")
        await capture(client)
        client.open(URI, front_matter + "Hello")
        assert ("Show trace" in await client.titles(URI)) == same

    with_client(daemon, tmp_path, test)


def test_a_chat_is_captured_as_one_and_its_tokens_are_found(daemon: DaemonProcess, tmp_path: Path) -> None:
    async def test(client: LspClient) -> None:
        client.open(URI, "chat: true\nmax_tokens: 2\nHello you\n---\nHello you")
        await capture(client)
        (trace_id,) = storage(tmp_path).list_traces()
        with storage(tmp_path).open_trace(trace_id) as trace:
            assert trace.document["messages"] == [{"role": "user", "content": "Hello you"}]
            first = trace.document["tokens"]["input_tokens"][2]
        assert (await client.titles(URI)).count("Show trace") == 1
        hover = await client.hover(URI, 2, 0)
        assert f"token {first} · position 2 · " in hover.contents.value
        assert await client.hover(URI, 4, 0) is None

    with_client(daemon, tmp_path, test)


@pytest.mark.parametrize(
    ("earlier", "shown"),
    [([], True), ([Message("user", "Hi"), Message("assistant", "Hello")], False), ([Message("system", "Be")], False)],
)
def test_another_clients_chat_is_a_capture_if_it_is_the_prompt_alone(
    daemon: DaemonProcess, tmp_path: Path, earlier: list[Message], shown: bool
) -> None:
    with Client(daemon.settings, traces_dir=tmp_path / "traces") as other:
        other.generate_and_capture(messages=[*earlier, Message("user", "Hello you")], max_tokens=2)

    async def test(client: LspClient) -> None:
        client.open(URI, "chat: true\nHello you\n---\nHello you")
        titles = await client.titles(URI)
        assert [title for title in titles if "tokens" not in title] == ["Capture", *["Show trace"] * shown, "Capture"]
        assert len(titles) == (4 if shown else 2) and titles[-1] == "Capture"

    with_client(daemon, tmp_path, test)


def test_an_edit_takes_the_capture_away_and_back(daemon: DaemonProcess, tmp_path: Path) -> None:
    async def test(client: LspClient) -> None:
        client.open(URI, TEXT)
        await capture(client)
        client.change(URI, (2, 15), (2, 17), "😀")
        assert await client.titles(URI) == ["Capture", "Capture"]
        client.change(URI, (2, 15), (2, 17), "🙂")
        assert "Show trace" in await client.titles(URI)
        client.change(URI, (0, 0), (3, 0), "")  # the first prompt goes: its section is empty
        assert await client.titles(URI) == ["Capture"]
        client.close(URI)
        assert await client.diagnostics(URI) == ()
        assert await client.titles(URI) == []

    with_client(daemon, tmp_path, test)


def test_a_lens_of_an_older_version_captures_the_prompt_it_was_over(daemon: DaemonProcess, tmp_path: Path) -> None:
    async def test(client: LspClient) -> None:
        client.open(URI, "max_tokens: 1\nfirst\n---\nmax_tokens: 1\nsecond")
        old = (await client.lenses(URI))[1]
        client.change(URI, (0, 0), (0, 0), "new\n---\n")
        await client.execute(old.command, *(old.arguments or ()))
        assert [entry.prompt for entry in storage(tmp_path).list_entries()] == ["second"]
        client.change(URI, (6, 0), (6, 6), "secret")
        with pytest.raises(JsonRpcException, match="try again"):
            await client.execute(old.command, *(old.arguments or ()))

    with_client(daemon, tmp_path, test)


def test_progress_by_a_token_of_the_daemons_own_and_the_editors(daemon: DaemonProcess, tmp_path: Path) -> None:
    async def test(client: LspClient) -> None:
        client.open(URI, TEXT)
        await capture(client)
        (created,) = client.of("window/workDoneProgress/create")
        values = [(one.token, one.value) for one in client.of("$/progress")]
        assert {token for token, _ in values} == {created.token}
        assert values[0][1]["title"] == "Capturing “The capital of 🙂 France is”"
        assert [value["kind"] for _, value in values][-1] == "end"
        await client.execute("nanoscope.capturePrompt", URI, 0, token="mine")
        assert len(client.of("window/workDoneProgress/create")) == 1
        assert "mine" in {one.token for one in client.of("$/progress")}

    with_client(daemon, tmp_path, test)


def test_an_editor_without_progress_is_sent_none(daemon: DaemonProcess, tmp_path: Path) -> None:
    async def test(client: LspClient) -> None:
        client.open(URI, TEXT)
        await capture(client)
        assert not client.of("window/workDoneProgress/create") and not client.of("$/progress")
        await client.execute("nanoscope.showTrace", storage(tmp_path).list_traces()[0])
        assert not client.of("window/showDocument")
        assert str(tmp_path) in client.of("window/showMessage")[0].message
        hover = await client.hover(URI, 2, 5)
        assert (hover.contents.kind, hover.contents.value.split("\n")[0]) == (lsp.MarkupKind.PlainText, "·capital")

    with_client(daemon, tmp_path, test, lsp.ClientCapabilities())


def test_cancel_stops_the_generation_and_leaves_nothing(daemon: DaemonProcess, tmp_path: Path) -> None:
    async def test(client: LspClient) -> None:
        client.open(URI, ENDLESS)
        capturing = asyncio.ensure_future(capture(client))
        told = re.compile(r"'message': .\d+ tokens?, [\d.]+ a second: .*river")
        report = await client.until(lambda: [one for one in client.of("$/progress") if told.search(str(one.value))])
        client.window_work_done_progress_cancel(lsp.WorkDoneProgressCancelParams(report[0].token))
        with pytest.raises(JsonRpcException) as caught:
            await capturing
        assert caught.value.code == -32800
        assert await client.titles(URI) == ["Capture"]

    with_client(daemon, tmp_path, test)
    assert storage(tmp_path).list_traces() == []


def test_refresh_when_traces_come_and_go(daemon: DaemonProcess, tmp_path: Path) -> None:
    def refreshes(client: LspClient) -> int:
        return min(len(client.of(f"workspace/{name}/refresh")) for name in ("codeLens", "inlayHint"))

    async def test(client: LspClient) -> None:
        client.open(URI, TEXT)
        await capture(client)
        await client.until(lambda: refreshes(client) and client.of("traces_changed"))
        (trace,) = (tmp_path / "traces").glob("trace_*")
        shutil.move(trace, tmp_path / trace.name)
        await client.until(lambda: any(told.removed for told in client.of("traces_changed")))
        before = refreshes(client)
        shutil.move(tmp_path / trace.name, trace)
        await client.until(lambda: client.of("traces_changed")[-1].added and refreshes(client) > before)
        assert "Show trace" in await client.titles(URI)

    with_client(daemon, tmp_path, test)


def test_diagnostics_at_their_place_and_gone_when_mended(daemon: DaemonProcess, tmp_path: Path) -> None:
    async def test(client: LspClient) -> None:
        client.open(URI, "seed: x\nHello")
        (found,) = await client.diagnostics(URI, 1)
        assert found.range == lsp.Range(lsp.Position(0, 6), lsp.Position(0, 7))
        assert found.severity == lsp.DiagnosticSeverity.Error
        with pytest.raises(JsonRpcException, match="Line 1: `seed` is a whole number"):
            await capture(client)
        client.change(URI, (0, 6), (0, 7), "1")
        assert await client.diagnostics(URI, 2) == ()

    with_client(daemon, tmp_path, test)


def test_a_prompt_that_the_model_has_no_room_for(daemon: DaemonProcess, tmp_path: Path) -> None:
    positions = daemon.call("get_status")["model"]["context"]

    async def test(client: LspClient) -> None:
        fits, over = "é" * ((positions - 1) // 2), "chat: true\n" + "é" * (positions // 2)
        client.open(URI, f"{fits}\n---\n{over}")
        (found,) = await client.diagnostics(URI, 1)
        assert f"{positions:,}" in found.message
        assert found.range == lsp.Range(lsp.Position(3, (positions - 4) // 2), lsp.Position(3, positions // 2))
        with pytest.raises(JsonRpcException, match="shorten it"):
            await capture(client, index=1)

    with_client(daemon, tmp_path, test)


def test_diagnostics_come_anew_with_another_model(daemon: DaemonProcess, tmp_path: Path) -> None:
    async def test(client: LspClient) -> None:
        client.open(URI, "Hello")
        assert await client.diagnostics(URI, 1) == ()
        before = len(client.of("textDocument/publishDiagnostics"))
        await client.execute("nanoscope.load_model", {"source": "demo"})
        await client.until(lambda: len(client.of("textDocument/publishDiagnostics")) > before)

    with_client(daemon, tmp_path, test)


def test_symbols_and_actions(daemon: DaemonProcess, tmp_path: Path) -> None:
    async def test(client: LspClient) -> None:
        client.open(URI, TEXT)
        document = lsp.TextDocumentIdentifier(URI)
        symbols: Any = await client.text_document_document_symbol_async(lsp.DocumentSymbolParams(document))
        assert [(one.name, one.detail) for one in symbols] == [
            ("The capital of 🙂 France is", "max_tokens: 4, temperature: 0.0"),
            ("Hello", ""),
        ]
        assert symbols[0].range == lsp.Range(lsp.Position(0, 0), lsp.Position(2, 27))
        assert symbols[0].selection_range == lsp.Range(lsp.Position(2, 0), lsp.Position(2, 27))

        async def actions(line: int, only: list[Any] | None = None) -> list[str]:
            span = lsp.Range(lsp.Position(line, 0), lsp.Position(line, 0))
            params = lsp.CodeActionParams(document, span, lsp.CodeActionContext([], only))
            return [action.title for action in await client.text_document_code_action_async(params) or ()]

        name = "“The capital of 🙂 France is”"
        assert await actions(2) == [f"Capture {name}"]
        await capture(client)
        assert await actions(1) == [f"Capture {name}", f"Show the trace of {name}"]
        assert await actions(3) == []
        assert await actions(2, ["nanoscope"]) == await actions(2)
        assert await actions(2, [lsp.CodeActionKind.Empty]) == await actions(2)
        assert await actions(2, [lsp.CodeActionKind.Source]) == []
        assert await actions(2, [lsp.CodeActionKind.QuickFix]) == []

    with_client(daemon, tmp_path, test)


def test_a_trace_is_shown_in_the_editor(daemon: DaemonProcess, tmp_path: Path) -> None:
    async def test(client: LspClient) -> None:
        client.open(URI, TEXT)
        await capture(client)
        show = next(command for command in await client.lenses(URI) if command.title == "Show trace")
        await client.execute(show.command, *(show.arguments or ()))
        (asked,) = client.of("window/showDocument")
        (trace_id,) = storage(tmp_path).list_traces()
        assert asked.uri == storage(tmp_path).path_of(trace_id).as_uri()
        assert not client.of("window/showMessage")

    with_client(daemon, tmp_path, test)


def test_a_trace_that_the_editor_does_not_show_is_named(daemon: DaemonProcess, tmp_path: Path) -> None:
    async def test(client: LspClient) -> None:
        client.shows_documents = False
        client.open(URI, TEXT)
        await capture(client)
        (trace_id,) = storage(tmp_path).list_traces()
        await client.execute("nanoscope.showTrace", trace_id)
        assert len(client.of("window/showDocument")) == 1
        (said,) = await client.until(lambda: client.of("window/showMessage"))
        assert said.message == f"The trace is {storage(tmp_path).path_of(trace_id)}"

    with_client(daemon, tmp_path, test)


def test_commands_that_the_editor_has_itself_are_not_announced(daemon: DaemonProcess, tmp_path: Path) -> None:
    async def test(client: LspClient) -> None:
        provider = client.capabilities.execute_command_provider
        assert provider is not None
        assert "nanoscope.capturePrompt" in provider.commands
        assert "nanoscope.showTrace" not in provider.commands

    with_client(daemon, tmp_path, test, client_commands=["nanoscope.showTrace"])


@pytest.mark.parametrize("arguments", [[], [URI], [URI, "0"], [URI, 9], [URI, -1], ["file:///closed.prompt", 0], [{}]])
def test_arguments_that_are_no_lenses_are_refused(daemon: DaemonProcess, tmp_path: Path, arguments: list[Any]) -> None:
    async def test(client: LspClient) -> None:
        client.open(URI, TEXT)
        with pytest.raises(JsonRpcException) as caught:
            await client.execute("nanoscope.capturePrompt", *arguments)
        assert caught.value.code == -32602
        with pytest.raises(JsonRpcException, match="no trace"):
            await client.execute("nanoscope.showTrace", "trace_of_nothing")

    with_client(daemon, tmp_path, test)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_positions_in_the_units_that_the_editor_prefers(daemon: DaemonProcess, tmp_path: Path, encoding: str) -> None:
    before = {"utf-8": 4, "utf-16": 2, "utf-32": 1}[encoding]

    async def test(client: LspClient) -> None:
        assert client.capabilities.position_encoding == encoding
        client.open(URI, "max_tokens: 1\n🙂 Francs")
        client.change(URI, (1, before + 6), (1, before + 7), "e")
        await capture(client)
        assert [entry.prompt for entry in storage(tmp_path).list_entries()] == ["🙂 France"]
        (hint,) = await client.hints(URI)
        assert hint.position == lsp.Position(1, before + 7)
        hover = await client.hover(URI, 1, before + 1)
        assert hover.range.start == lsp.Position(1, before)

    general = lsp.GeneralClientCapabilities(position_encodings=[encoding])
    with_client(daemon, tmp_path, test, lsp.ClientCapabilities(general=general))


def test_a_trace_that_is_deleted_while_it_is_shown(daemon: DaemonProcess, tmp_path: Path) -> None:
    async def test(client: LspClient) -> None:
        client.open(URI, TEXT)
        await capture(client)
        lenses = await client.lenses(URI)
        await client.until(lambda: client.of("traces_changed"))
        (trace,) = (tmp_path / "traces").glob("trace_*.json")
        trace.unlink()
        answer = await client.hover(URI, 2, 5)  # before the daemon knows, or after it
        assert answer is None or "There is no trace" in answer.contents.value
        with pytest.raises(JsonRpcException, match="no trace"):
            await client.execute(lenses[1].command, *(lenses[1].arguments or ()))
        await client.until(lambda: any(told.removed for told in client.of("traces_changed")))
        assert await client.titles(URI) == ["Capture", "Capture"]
        assert await client.hover(URI, 2, 5) is None

    with_client(daemon, tmp_path, test)


def test_a_large_document_holds_up_nobody(daemon: DaemonProcess, tmp_path: Path) -> None:
    text = "\n---\n".join(f"seed: {number}\n" + "The cat 🙂 sat on the mat. " * 18 for number in range(2000))
    assert len(text) > 900_000

    async def test(client: LspClient) -> None:
        async with lsp_client(daemon, tmp_path / "other") as other:
            waits: list[float] = []
            done = asyncio.Event()

            async def ask() -> None:
                while not done.is_set():
                    started = time.monotonic()
                    await other.execute("nanoscope.get_status")
                    waits.append(time.monotonic() - started)

            asking = asyncio.ensure_future(ask())
            client.open(URI, text)
            for number in range(20):
                client.change(URI, (1 + 3 * number, 0), (1 + 3 * number, 3), "Any")
            assert len(await client.titles(URI)) == 2000
            assert await client.diagnostics(URI, client.versions[URI]) == ()
            done.set()
            await asking
        assert len(waits) > 3 and max(waits) < 0.5

    with_client(daemon, tmp_path, test)


def test_reading_ends_when_nobody_waits_for_it():
    begun, told = threading.Event(), threading.Event()

    def read(what: str, cancel: threading.Event) -> None:
        assert what == "tokens"
        begun.set()
        if cancel.wait(20):
            told.set()

    async def test() -> None:
        documents: Any = SimpleNamespace(in_readers=asyncio.to_thread)
        asked = asyncio.create_task(Documents.in_readers_until_cancelled(documents, read, "tokens"))
        await asyncio.to_thread(begun.wait, 20)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert await asyncio.to_thread(told.wait, 20)

    asyncio.run(test())
