"""What pygls is kept from: params made into objects, answers of its own kind, memory that grows, logs that tell."""

import asyncio
import logging
import math
from typing import Any

import pytest
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException

from daemon.editor import connection
from protocol.errors import RpcError
from tests.daemon.connections import TRACE, Editor, daemon, echo, error_of, eventually, run


def test_the_same_answers_as_a_script_gets() -> None:
    async def test() -> None:
        async def failing(context: Any, params: Any) -> None:
            raise ValueError("secret")

        async def refusing(context: Any, params: Any) -> None:
            raise RpcError("TOO_LARGE", "at most 5", {"limit": 5})

        async def strange(context: Any, params: Any) -> object:
            return [math.nan, {"layer-0": None, "id": 1, "jsonrpc": "2.0"}, "é\u2028", 2**70, 1.5]

        calls = [
            ("get_summary", TRACE), ("get_summary", {}), ("get_summary", [1]), ("get_summary", {"trace_id": 1}),
            ("get_summary", {"trace_id": "a", "x": 1}), ("get_summary", None), ("get_summary", 5), ("nothing", {}),
            ("get_tokens", TRACE), ("get_status", {}), ("get_status", []), ("get_tensor", TRACE | {"name": "q"}),
            ("list_traces", {}), (5, {}), ("rpc.discover", None), ("analyze_trace", TRACE),
        ]  # fmt: skip
        handlers: Any = {
            "get_summary": echo, "get_tokens": failing, "get_status": strange, "get_tensor": refusing,
            "list_traces": lambda c, p: asyncio.sleep(0, object()), "rpc.discover": lambda c, p: asyncio.sleep(0),
            "analyze_trace": lambda c, p: asyncio.sleep(0, "\ud800"),
        }  # fmt: skip
        async with daemon(handlers) as running:
            editor, line = await running.editor(), await running.line()
            for number, (method, params) in enumerate(calls):
                assert await editor.call(number, method, params) == await line.call(number, method, params)

    run(test)


def test_params_reach_the_handler_as_plain_values() -> None:
    async def test() -> None:
        metadata = {
            "layer-0": {"class": [1, {"type_name": "x"}]},
            "jsonrpc": "2.0",
            "id": 3,
            "result": 1,
            "method": "m",
        }

        async def handler(context: Any, params: Any) -> object:
            assert type(params.metadata) is dict
            return params.metadata

        async with daemon({"generate_and_capture": handler}) as running:
            client = await running.editor()
            answer = await client.call("x", "generate_and_capture", {"prompt": "a", "metadata": metadata})
            assert answer == {"jsonrpc": "2.0", "id": "x", "result": metadata}

    run(test)


@pytest.mark.parametrize(
    "message",
    [
        {"jsonrpc": "2.0", "method": "nothing", "params": {"a": 1}}, {"jsonrpc": "2.0", "method": "$/nothing"},
        {"jsonrpc": "2.0", "method": "get_summary", "params": TRACE}, {"jsonrpc": "2.0", "method": "get_summary"},
        {"jsonrpc": "2.0", "id": 7, "result": 1}, {"jsonrpc": "2.0", "id": 7, "error": {"code": 1, "message": "x"}},
        {"jsonrpc": "2.0", "id": [], "error": 7}, {"id": None, "result": {}},
        {"jsonrpc": "2.0", "method": "textDocument/didChange", "params": {
            "textDocument": {"uri": "file:///x", "version": 1}, "contentChanges": [{"text": ""}]}},
        {"jsonrpc": "2.0", "method": "textDocument/didClose", "params": {"textDocument": {"uri": "file:///x"}}},
    ],
)  # fmt: skip
def test_notifications_and_stray_responses_are_not_answered(message: object) -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            client = await running.editor()
            client.send(message)
            assert await client.call(1, "get_summary", TRACE) == {"jsonrpc": "2.0", "id": 1, "result": TRACE}

    run(test)


def test_the_daemon_may_ask_the_editor() -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            asked: list[Any] = []
            client = await running.connect(Editor)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(connection, "FEATURES", (asked.append,))
                await client.initialize()
            for answer in ({"result": [{"uri": "file:///a", "name": "a"}]}, {"error": {"code": 1, "message": "no"}}):
                folders = asyncio.ensure_future(asked[0].workspace_workspace_folders_async(None))
                request = await client.receive()
                assert request["method"] == "workspace/workspaceFolders"
                client.send({"jsonrpc": "2.0", "id": request["id"]} | answer)
                if "result" in answer:
                    assert (await folders)[0].name == "a"
                else:
                    with pytest.raises(JsonRpcException, match="no"):
                        await folders
            assert (asked[0].protocol._result_types, asked[0].protocol._request_futures) == ({}, {})

    run(test)


def test_features_of_documents_have_a_place() -> None:
    async def test() -> None:
        def register(server: Any) -> None:
            @server.feature(lsp.TEXT_DOCUMENT_HOVER)
            async def hover(params: lsp.HoverParams) -> lsp.Hover:
                if params.position.line:
                    raise ValueError("secret")
                return lsp.Hover(server.workspace.get_text_document(params.text_document.uri).source)

        place = {"textDocument": {"uri": "file:///x"}, "position": {"line": 0, "character": 0}}
        document = {"uri": "file:///x", "languageId": "text", "version": 1, "text": "written"}
        async with daemon({}) as running:
            client = await running.connect(Editor)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(connection, "FEATURES", (register,))
                assert (await client.initialize())["result"]["capabilities"]["hoverProvider"]
            client.notify("textDocument/didOpen", {"textDocument": document})
            assert (await client.call(1, "textDocument/hover", place))["result"] == {"contents": "written"}
            place["position"]["line"] = 1
            answer = await client.call(2, "textDocument/hover", place)
            assert error_of(answer) == (2, -32603, "INTERNAL_ERROR")
            assert "secret" not in str(answer)
            assert set(answer["error"]["data"]) == {"name"}

    run(test)


def test_features_of_documents_are_cancelled_by_the_editor_and_when_it_goes() -> None:
    async def test() -> None:
        cancelled: list[int] = []
        begun = asyncio.Queue[int]()

        def register(server: Any) -> None:
            @server.feature(lsp.TEXT_DOCUMENT_HOVER)
            async def hover(params: lsp.HoverParams) -> None:
                begun.put_nowait(params.position.line)
                try:
                    await asyncio.Event().wait()
                finally:
                    cancelled.append(params.position.line)

        async with daemon({}) as running:
            client = await running.connect(Editor)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(connection, "FEATURES", (register,))
                await client.initialize()
            for line in range(3):
                place = {"textDocument": {"uri": "file:///x"}, "position": {"line": line, "character": 0}}
                client.request(line, "textDocument/hover", place)
                assert await begun.get() == line
            client.notify("$/cancelRequest", {"id": 1})
            assert error_of(await client.receive()) == (1, -32800, "CANCELLED")
            await client.close()
            await eventually(lambda: cancelled == [1, 0, 2])

    run(test)


def test_messages_leave_nothing_behind() -> None:
    async def test() -> None:
        kept: list[Any] = []
        async with daemon({"get_summary": echo}) as running:
            client = await running.connect(Editor)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(connection, "FEATURES", (kept.append,))
                await client.initialize()
            document = {"uri": "file:///x", "languageId": "text", "version": 1, "text": "a"}
            client.notify("textDocument/didOpen", {"textDocument": document})
            for number in range(50):
                client.notify("get_summary", TRACE)
                change = {"textDocument": {"uri": "file:///x", "version": 2}, "contentChanges": [{"text": "b"}]}
                client.notify("textDocument/didChange", change)
                await client.call(number, "get_summary", TRACE | {"workDoneToken": number})
                for _ in range(2):
                    await client.receive()
            protocol = kept[0].protocol
            assert kept[0].workspace.get_text_document("file:///x").source == "b"
            assert (protocol._request_futures, protocol._result_types, protocol._tokens) == ({}, {}, {})
            assert protocol.session.calls == {}

    run(test)


def test_what_an_editor_says_is_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo, "get_tokens": lambda c, p: asyncio.sleep(0, object())}) as running:
            client = await running.editor(rootUri="file:///SECRET")
            for method in (
                "get_summary",
                "get_tokens",
                "textDocument/hover",
                "nothing-SECRET",
                "workspace/executeCommand",
            ):
                params = {"trace_id": "SECRET", "textDocument": {"uri": "SECRET", "version": "SECRET"}}
                client.notify(method, params)
                await client.call(1, method, params)
            for method in ("textDocument/didOpen", "textDocument/didChange", "textDocument/didClose", "$/setTrace"):
                for version in (1, "SECRET"):
                    document = {"uri": "SECRET", "version": version, "text": "SECRET", "languageId": "SECRET"}
                    changes = [{"text": "SECRET", "range": {"start": {"line": 9, "character": 9}, "end": "SECRET"}}]
                    client.notify(method, {"textDocument": document, "contentChanges": changes, "value": "SECRET"})
            client.send({"jsonrpc": "2.0", "id": "SECRET", "error": "SECRET"})
            await client.call(2, "get_summary", TRACE)

    with caplog.at_level(logging.DEBUG):
        logging.getLogger("pygls").setLevel(logging.NOTSET)
        run(test)
    assert "SECRET" not in caplog.text
