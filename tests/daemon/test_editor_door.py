"""The editor door: LSP's life cycle, our methods in it, progress and cancelling, and editors that misbehave."""

import asyncio
import gc
import logging
import math
import random
import weakref
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from lsprotocol import types as lsp

from daemon import editor_door
from daemon.framing import BODY_LIMIT
from nanochat.errors import StorageError
from protocol.errors import RpcError
from protocol.methods import METHODS, TRACES_CHANGED
from protocol.types import TracesChanged
from tests.daemon.doors import Editor, Gate, daemon, echo

TRACE = {"trace_id": "a"}


def run(test: Any) -> None:
    asyncio.run(test())


def error(response: Any) -> tuple[object, int, str]:
    assert set(response) == {"jsonrpc", "id", "error"}
    return response["id"], response["error"]["code"], response["error"]["data"]["name"]


def session_of(running: Any) -> Any:
    (session,) = running.hub.sessions.values()
    return session


# Life cycle


def test_initialize_tells_every_method_as_a_command_and_takes_the_editors_name() -> None:
    async def test() -> None:
        async with daemon({}) as running:
            client = await running.connect(Editor)
            answer = await client.initialize(clientInfo={"name": "vim", "version": "9"})
            capabilities = answer["result"]["capabilities"]
            commands = {f"nanoscope.{method}" for method in METHODS}
            assert set(capabilities["executeCommandProvider"]["commands"]) == commands
            assert answer["result"]["serverInfo"] == {"name": "nanoscope", "version": "0.1.0"}
            assert (session_of(running).name, session_of(running).door) == ("vim 9", "editor")

    run(test)


@pytest.mark.parametrize(
    "params",
    [
        None,
        {},
        {"capabilities": {"new": {"x": [1]}, "window": {"y": 1}}, "newest": 1, "processId": 1, "rootUri": None},
        {"capabilities": {"general": {"positionEncodings": 7}}, "clientInfo": 3, "workspaceFolders": "x"},
        {"capabilities": None, "rootUri": 5, "trace": "never heard of"},
    ],
)
def test_initialize_works_whatever_a_newer_editor_puts_into_it(params: object) -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            client = await running.connect(Editor)
            assert "capabilities" in (await client.call(1, "initialize", params))["result"]
            client.notify("initialized")
            client.notify("$/setTrace", {"value": "loud", "x": 1})
            client.notify("textDocument/didOpen", {"x": 1})
            client.notify("$/cancelRequest", {"id": {}})
            client.notify("$/cancelRequest")
            client.notify("window/workDoneProgress/cancel", {"token": []})
            assert (await client.call(2, "get_summary", TRACE))["result"] == TRACE

    run(test)


def test_before_initialize_requests_are_refused_and_notifications_ignored() -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            client = await running.connect(Editor)
            for number, method in enumerate(("get_summary", "nothing", "shutdown", "textDocument/hover")):
                assert error(await client.call(number, method, TRACE)) == (number, -32002, "SERVER_NOT_INITIALIZED")
            client.notify("initialized", {})
            client.notify("get_summary", TRACE)
            await client.call("i", "initialize", {"capabilities": {}})
            assert not session_of(running).notified

    run(test)


def test_initialize_twice_is_refused() -> None:
    async def test() -> None:
        async with daemon({}) as running:
            client = await running.editor()
            assert error(await client.call(1, "initialize", {"capabilities": {}})) == (1, -32600, "INVALID_REQUEST")

    run(test)


def test_notifications_are_pushed_from_initialized_on() -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            client = await running.connect(Editor)
            await client.call("i", "initialize", {"capabilities": {}})
            session = session_of(running)
            assert not session.notified
            client.notify("initialized", {})
            await client.call(1, "get_summary", TRACE)
            assert session.notified
            await asyncio.to_thread(session.notify, TRACES_CHANGED, TracesChanged(traces_dir="/é", added=["b"]))
            told = {"traces_dir": "/é", "added": ["b"], "changed": [], "removed": []}
            assert await client.receive() == {"jsonrpc": "2.0", "method": "traces_changed", "params": told}

    run(test)


def test_shutdown_ends_the_session_and_exit_the_connection_and_nobody_elses() -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate, "get_summary": echo, "shutdown": echo}) as running:
            client, other = await running.editor(), await running.editor()
            client.request(1, "get_tokens", TRACE)
            await gate.until(running=1)
            client.request(2, "shutdown")
            answers = {answer["id"]: answer for answer in [await client.receive() for _ in range(2)]}
            assert answers[2] == {"jsonrpc": "2.0", "id": 2, "result": None}
            assert error(answers[1]) == (1, -32800, "CANCELLED")
            for number, method in enumerate(("get_summary", "initialize", "shutdown")):
                assert error(await client.call(number, method, TRACE)) == (number, -32600, "INVALID_REQUEST")
            client.notify("get_tokens", TRACE)
            client.notify("exit")
            assert await client.is_closed()
            await running.sessions(1)
            assert gate.running == 0
            assert (await other.call(1, "get_summary", TRACE))["result"] == TRACE

    run(test)


def test_exit_alone_ends_the_connection_too() -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            before, after = await running.connect(Editor), await running.editor()
            for client in (before, after):
                client.notify("exit")
                assert await client.is_closed()
            assert (await (await running.editor()).call(1, "get_summary", TRACE))["result"] == TRACE

    run(test)


# The traces folder


def test_the_sessions_own_folder_is_open_before_the_first_request_is_served() -> None:
    async def test() -> None:
        async with daemon({"get_summary": lambda context, params: asyncio.sleep(0, context.hub.folders)}) as running:
            client = await running.editor(initializationOptions={"traces_dir": "/a/traces", "more": {"layer-0": 1}})
            assert (await client.call(1, "get_summary", TRACE))["result"] == ["/a/traces"]

    run(test)


@pytest.mark.parametrize("traces_dir", ["/not/a/folder", 5])
def test_a_folder_that_cannot_be_used_is_shown_and_the_session_goes_on(traces_dir: object) -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:

            def refuse(session: object, path: object) -> None:
                raise StorageError(f"no folder at {path}")

            running.hub.use_folder = refuse  # pyright: ignore[reportAttributeAccessIssue]
            client = await running.editor(initializationOptions={"traces_dir": traces_dir})
            shown = await client.receive()
            assert (shown["method"], shown["params"]["type"]) == ("window/showMessage", 1)
            assert ("/not/a/folder" if isinstance(traces_dir, str) else "must be a string") in shown["params"][
                "message"
            ]
            assert (await client.call(1, "get_summary", TRACE))["result"] == TRACE

    run(test)


# Requests


def test_the_same_answers_as_through_the_line_door() -> None:
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


def test_a_method_as_a_command() -> None:
    async def test() -> None:
        async def daemons_own(context: Any, params: Any) -> str:
            return "the daemon ends"

        async with daemon({"get_summary": echo, "shutdown": daemons_own}) as running:
            client = await running.editor()

            async def execute(command: object, *arguments: object) -> Any:
                return await client.call(1, "workspace/executeCommand", {"command": command, "arguments": arguments})

            assert (await execute("nanoscope.get_summary", TRACE))["result"] == TRACE
            assert (await execute("nanoscope.shutdown"))["result"] == "the daemon ends"
            assert error(await execute("nanoscope.get_summary")) == (1, -32602, "INVALID_PARAMS")
            assert error(await execute("nanoscope.get_summary", TRACE, 2)) == (1, -32602, "INVALID_PARAMS")
            for command in ("get_summary", "nanoscope.nothing", "nanoscope.", None, 5, []):
                assert error(await execute(command, TRACE)) == (1, -32602, "INVALID_PARAMS")
            assert error(await client.call(1, "workspace/executeCommand")) == (1, -32602, "INVALID_PARAMS")

    run(test)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ([], (None, -32600)), ([{"jsonrpc": "2.0", "id": 1, "method": "x"}], (None, -32600)), (1, (None, -32600)),
        ({}, (None, -32600)), ({"id": 1, "method": "get_summary"}, (1, -32600)),
        ({"jsonrpc": "1.0", "id": "x", "method": "get_summary"}, ("x", -32600)),
        ({"jsonrpc": "2.0", "id": 1}, (1, -32600)), ({"jsonrpc": "2.0", "id": 1, "method": []}, (1, -32600)),
        ({"jsonrpc": "2.0", "id": None, "method": "get_summary"}, (None, -32600)),
        ({"jsonrpc": "2.0", "id": 1.5, "method": "get_summary"}, (1.5, -32600)),
        ({"jsonrpc": "2.0", "id": {}, "method": "get_summary"}, (None, -32600)),
        ({"jsonrpc": "2.0", "id": True, "method": "get_summary"}, (None, -32600)),
        ({"jsonrpc": "2.0", "id": 1, "method": "get_summary", "params": 5}, (1, -32600)),
        ({"jsonrpc": "2.0", "id": 1, "method": "nothing"}, (1, -32601)),
        ({"jsonrpc": "2.0", "id": 1, "method": "$/nothing"}, (1, -32601)),
        ({"jsonrpc": "2.0", "id": 1, "method": "textDocument/hover", "params": {"a": 1}}, (1, -32602)),
        ({"jsonrpc": "2.0", "id": 1, "method": "get_summary", "params": {"workDoneToken": []} | TRACE}, (1, -32602)),
    ],
)  # fmt: skip
def test_each_fault_has_its_error_and_the_connection_goes_on(message: object, expected: object) -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            client = await running.editor()
            client.send(message)
            answer = await client.receive()
            assert (answer["id"], answer["error"]["code"]) == expected
            assert (await client.call(1, "get_summary", TRACE))["result"] == TRACE

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
                patch.setattr(editor_door, "FEATURES", (asked.append,))
                await client.initialize()
            folders = asyncio.ensure_future(asked[0].workspace_workspace_folders_async(None))
            request = await client.receive()
            assert request["method"] == "workspace/workspaceFolders"
            client.send({"jsonrpc": "2.0", "id": request["id"], "result": [{"uri": "file:///a", "name": "a"}]})
            assert (await folders)[0].name == "a"

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
                patch.setattr(editor_door, "FEATURES", (register,))
                assert (await client.initialize())["result"]["capabilities"]["hoverProvider"]
            client.notify("textDocument/didOpen", {"textDocument": document})
            assert (await client.call(1, "textDocument/hover", place))["result"] == {"contents": "written"}
            place["position"]["line"] = 1
            answer = await client.call(2, "textDocument/hover", place)
            assert error(answer) == (2, -32603, "INTERNAL_ERROR")
            assert "secret" not in str(answer)
            assert set(answer["error"]["data"]) == {"name"}

    run(test)


# Cancelling and progress


def test_cancel_ends_a_request_and_others_go_on() -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate}) as running:
            client = await running.editor()
            client.request(1, "get_tokens", TRACE)
            client.request("1", "get_tokens", TRACE)
            await gate.until(running=2)
            client.notify("$/cancelRequest", {"id": 1})
            assert error(await client.receive()) == (1, -32800, "CANCELLED")
            client.notify("$/cancelRequest", {"id": 1})
            gate.opened.set()
            assert (await client.receive())["id"] == "1"
            assert gate.cancelled == 1

    run(test)


def test_a_cancel_in_the_same_breath_as_its_request() -> None:
    async def test() -> None:
        async with daemon({"get_tokens": Gate()}) as running:
            client = await running.editor()
            request = b'{"jsonrpc":"2.0","id":1,"method":"get_tokens","params":{"trace_id":"a"}}'
            cancel = b'{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":1}}'
            client.write(client.frame(request) + client.frame(cancel))
            assert error(await client.receive()) == (1, -32800, "CANCELLED")
            assert session_of(running).calls == {}

    run(test)


def test_an_id_in_flight_is_not_taken_twice() -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate}) as running:
            client = await running.editor()
            client.request(1, "get_tokens", TRACE)
            client.request(1, "nothing")
            assert error(await client.receive()) == (1, -32600, "INVALID_REQUEST")
            gate.opened.set()
            assert (await client.receive())["result"] == TRACE
            assert (await client.call(1, "get_tokens", TRACE))["result"] == TRACE

    run(test)


@pytest.mark.parametrize("as_command", [False, True])
def test_progress_under_the_editors_token(as_command: bool) -> None:
    async def test() -> None:
        late: list[Any] = []

        async def work(context: Any, params: Any) -> object:
            late.append(context.progress)
            await asyncio.to_thread(context.progress, "half", 50.4)
            context.progress("more", None)
            context.progress("over", 170.0)
            return "done"

        async with daemon({"get_status": work}) as running:
            client = await running.editor()
            if as_command:
                params = {"command": "nanoscope.get_status", "arguments": [{}], "workDoneToken": "t"}
                client.request(1, "workspace/executeCommand", params)
            else:
                client.request(1, "get_status", {"workDoneToken": "t"})
            told = [await client.receive() for _ in range(6)]
            assert told.pop()["result"] == "done"
            assert {(one["method"], one["params"]["token"]) for one in told} == {("$/progress", "t")}
            assert [one["params"]["value"] for one in told] == [
                {"kind": "begin", "title": "get status", "cancellable": True, "percentage": 0},
                {"kind": "report", "message": "half", "percentage": 50},
                {"kind": "report", "message": "more"},
                {"kind": "report", "message": "over", "percentage": 100},
                {"kind": "end"},
            ]
            late[0]("too late", 1.0)
            assert (await client.call(2, "nothing"))["id"] == 2

    run(test)


def test_progress_can_be_cancelled_by_its_token_and_then_ends() -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate}) as running:
            client = await running.editor()
            client.request(1, "get_tokens", TRACE | {"workDoneToken": 5})
            await gate.until(running=1)
            client.notify("window/workDoneProgress/cancel", {"token": 5})
            begin, end, answer = [await client.receive() for _ in range(3)]
            assert (begin["params"]["value"]["kind"], end["params"]["value"]["kind"]) == ("begin", "end")
            assert error(answer) == (1, -32800, "CANCELLED")
            assert gate.cancelled == 1

    run(test)


# Misbehaviour


def test_json_that_is_none_in_a_good_frame_is_told_and_the_connection_goes_on() -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            client = await running.editor()
            for body in (
                b"",
                b"{",
                b"\xff",
                b'{"jsonrpc":"2.0","id":1,"method":"get_summary","params":NaN}',
                b"[" * 300,
            ):
                client.write(client.frame(body))
                assert error(await client.receive()) == (None, -32700, "PARSE_ERROR")
            client.write(b"content-length:" + str(len(b"[]")).encode() + b"\r\nX: y\r\n\r\n[]")
            assert error(await client.receive()) == (None, -32600, "INVALID_REQUEST")
            assert (await client.call(1, "get_summary", TRACE))["result"] == TRACE

    run(test)


@pytest.mark.parametrize(
    ("stream", "name"),
    [
        (b"nonsense\r\n", "PARSE_ERROR"), (b"Content-Length: x\r\n\r\n{}", "PARSE_ERROR"), (b"\r\n", "PARSE_ERROR"),
        (b"A: " + b"b" * 5000, "PARSE_ERROR"), (b"Content-Length: 99999999999\r\n\r\n", "TOO_LARGE"),
    ],
)  # fmt: skip
def test_a_broken_frame_is_told_and_ends_the_connection(stream: bytes, name: str) -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_summary": echo, "get_tokens": gate}) as running:
            client = await running.editor()
            client.request(1, "get_tokens", TRACE)
            await gate.until(running=1)
            client.write(stream + b"more")
            answer = await client.receive()
            assert (answer["id"], answer["error"]["data"]["name"]) == (None, name)
            assert await client.is_closed()
            await gate.until(cancelled=1)
            assert (await (await running.editor()).call(1, "get_summary", TRACE))["result"] == TRACE

    run(test)


def test_a_body_over_the_limit_is_told_and_skipped() -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            client = await running.editor()
            client.write(client.frame(b"x" * (BODY_LIMIT + 1)))
            assert error(await client.receive()) == (None, -31012, "TOO_LARGE")
            assert (await client.call(1, "get_summary", TRACE))["result"] == TRACE

    run(test)


@pytest.mark.parametrize("last", [b"", b"Content-Le", b"Content-Length: 50\r\n\r\n{"])
def test_an_editor_that_vanishes_has_its_work_cancelled_and_is_forgotten(last: bytes) -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate}) as running:
            client = await running.editor()
            kept = weakref.ref(session_of(running))
            client.request(1, "get_tokens", TRACE)
            client.notify("get_tokens", TRACE)
            client.write(last)
            await gate.until(running=2)
            client.writer.write_eof()  # for an editor that is the end as well
            await gate.until(cancelled=2, running=0)
            await running.sessions(0)
            await client.close()
            await asyncio.sleep(0)
            gc.collect()
            assert kept() is None

    run(test)


def test_messages_leave_nothing_behind() -> None:
    async def test() -> None:
        kept: list[Any] = []
        async with daemon({"get_summary": echo}) as running:
            client = await running.connect(Editor)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(editor_door, "FEATURES", (kept.append,))
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


def test_an_editor_with_too_much_in_flight_is_not_read_and_others_are_served() -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate, "get_summary": echo}) as running:
            client, other = await running.editor(), await running.editor()
            count = editor_door.IN_FLIGHT_LIMIT * 3
            for number in range(count):
                client.request(number, "get_tokens", {"trace_id": "x" * 1000})
            await gate.until(running=editor_door.IN_FLIGHT_LIMIT)
            assert (await other.call(1, "get_summary", TRACE))["result"] == TRACE
            gate.opened.set()
            assert {(await client.receive())["id"] for _ in range(count)} == set(range(count))
            gate.opened.clear()
            for number in range(count):
                client.request(number, "get_tokens", TRACE)
            await gate.until(running=editor_door.IN_FLIGHT_LIMIT)
            await client.close()
            await running.sessions(1)
            await gate.until(running=0)
            assert gate.most == editor_door.IN_FLIGHT_LIMIT

    run(test)


def test_eight_editors_with_large_answers_each_get_their_own_whole() -> None:
    async def test() -> None:
        async def large(context: Any, params: Any) -> object:
            return params.trace_id * 400_000

        async def client(running: Any, letter: str) -> None:
            editor = await running.editor()
            for number in range(10):
                editor.request(f"{letter}{number}", "get_tokens", {"trace_id": letter})
            answers = [await editor.receive() for _ in range(10)]
            assert sorted(answer["id"] for answer in answers) == [f"{letter}{number}" for number in range(10)]
            assert all(answer["result"] == letter * 400_000 for answer in answers)

        async with daemon({"get_tokens": large}) as running:
            await asyncio.gather(*(client(running, letter) for letter in "abcdefgh"))

    run(test)


def test_an_editor_that_never_reads_is_dropped_and_others_are_served() -> None:
    async def test() -> None:
        async with daemon({"get_tokens": lambda c, p: asyncio.sleep(0, "x" * 400_000), "get_summary": echo}) as running:
            client, other = await running.editor(), await running.editor()
            session = running.hub.sessions[1]
            client.writer.transport.pause_reading()  # pyright: ignore[reportAttributeAccessIssue]
            for number in range(100):
                client.request(number, "get_tokens", TRACE)
            for number in range(200):
                session.notify(TRACES_CHANGED, TracesChanged(traces_dir="x" * 400_000))
                if number % 20 == 0:
                    assert (await other.call(number, "get_summary", TRACE))["result"] == TRACE
            await running.sessions(1)
            assert (await other.call("last", "get_summary", TRACE))["result"] == TRACE

    run(test)


def test_what_an_editor_says_is_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo, "get_tokens": lambda c, p: asyncio.sleep(0, object())}) as running:
            client = await running.editor(rootUri="file:///SECRET")
            for method in ("get_summary", "get_tokens", "textDocument/hover", "nothing", "workspace/executeCommand"):
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


JSON = some.recursive(
    some.none() | some.booleans() | some.integers(-9, 9) | some.floats(allow_nan=False) | some.text(max_size=5),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
METHOD = some.sampled_from(
    ["get_summary", "cancel", "initialize", "initialized", "nothing", "$/cancelRequest", "workspace/executeCommand",
     "window/workDoneProgress/cancel", "textDocument/didOpen", "textDocument/didChange", "$/setTrace", "$/progress",
     "workspace/didChangeWorkspaceFolders", "notebookDocument/didOpen", "textDocument/hover"]
)  # fmt: skip
PARAMS = some.sampled_from([TRACE, {"id": 1}, {"token": 1}, {"textDocument": {"uri": "a", "version": 1, "text": "b",
                            "languageId": "c"}, "contentChanges": [{"text": "d"}]}]) | JSON  # fmt: skip
MESSAGE = some.fixed_dictionaries(
    {},
    optional={"jsonrpc": some.just("2.0"), "id": some.integers(0, 3) | JSON, "method": METHOD | JSON, "params": PARAMS,
              "result": JSON, "error": JSON},
)  # fmt: skip
BODIES = some.binary(max_size=40) | (MESSAGE | JSON).map(lambda value: msgspec.json.encode(_without_surrogates(value)))


def _without_surrogates(value: object) -> object:
    try:
        msgspec.json.encode(value)
    except ValueError:
        return None
    return value


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(some.lists(BODIES, min_size=30, max_size=60), some.booleans(), some.binary(max_size=30), some.randoms())
def test_whatever_is_said_the_next_editor_is_served(
    bodies: list[bytes], vanishes: bool, tail: bytes, chance: random.Random
) -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            client = await running.editor()
            stream = b"".join(map(client.frame, bodies))
            if vanishes:
                client.write(stream[: chance.randrange(len(stream) + 1)] + tail)
                client.writer.transport.abort()
            else:
                client.write(stream)
                client.request("the last", "get_summary", TRACE)
                while (answer := await client.receive()).get("id") != "the last":
                    assert "method" in answer or "error" in answer or "result" in answer
                client.write(tail)
            other = await running.editor()
            assert (await other.call(1, "get_summary", TRACE))["result"] == TRACE

    run(test)
