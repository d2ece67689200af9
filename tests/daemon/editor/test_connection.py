"""The editor connection: LSP's life cycle, and the folder of a session."""

import asyncio
import threading

import pytest

from nanochat.errors import StorageError
from protocol.methods import METHODS, TRACES_CHANGED
from protocol.types import TracesChanged
from tests.daemon.connections import SECONDS, TRACE, Editor, Gate, daemon, echo, error_of, run, session_of


def test_initialize_tells_every_method_as_a_command_and_takes_the_editors_name() -> None:
    async def test() -> None:
        async with daemon({}) as running:
            client = await running.connect(Editor)
            answer = await client.initialize(clientInfo={"name": "vim", "version": "9"})
            capabilities = answer["result"]["capabilities"]
            commands = {f"nanoscope.{method}" for method in METHODS}
            assert set(capabilities["executeCommandProvider"]["commands"]) >= commands
            assert answer["result"]["serverInfo"] == {"name": "nanoscope", "version": "0.2.0"}
            assert (session_of(running).name, session_of(running).kind) == ("vim 9", "editor")

    run(test)


def test_an_editor_uses_the_daemon_from_the_first() -> None:
    async def test() -> None:
        async with daemon({}) as running:
            client = await running.connect(Editor)
            await client.call(1, "get_status")  # refused
            assert not session_of(running).used
            await client.initialize()
            await client.call(2, "no_such_method")
            assert session_of(running).used

    run(test)


def test_initialize_with_nothing_but_a_name() -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            client = await running.connect(Editor)
            await client.call(1, "initialize", {"clientInfo": {"name": "vim"}})
            await client.call(2, "get_summary", TRACE)
            assert session_of(running).name == "vim"

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
                assert error_of(await client.call(number, method, TRACE)) == (number, -32002, "SERVER_NOT_INITIALIZED")
            client.notify("initialized", {})
            client.notify("get_summary", TRACE)
            await client.call("i", "initialize", {"capabilities": {}})
            assert not session_of(running).notified

    run(test)


def test_initialize_twice_is_refused() -> None:
    async def test() -> None:
        async with daemon({}) as running:
            client = await running.editor()
            assert error_of(await client.call(1, "initialize", {"capabilities": {}})) == (1, -32600, "INVALID_REQUEST")

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
            assert error_of(answers[1]) == (1, -32800, "CANCELLED")
            for number, method in enumerate(("get_summary", "initialize", "shutdown")):
                assert error_of(await client.call(number, method, TRACE)) == (number, -32600, "INVALID_REQUEST")
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
        may_open, opened = threading.Event(), list[object]()
        async with daemon({"get_summary": lambda context, params: asyncio.sleep(0, opened)}) as running:

            async def use_folder(session: object, path: object) -> None:
                assert await asyncio.to_thread(may_open.wait, SECONDS)
                opened.append(path)

            running.state.use_folder = use_folder  # pyright: ignore[reportAttributeAccessIssue]
            client = await running.editor(initializationOptions={"traces_dir": "/a/traces", "more": {"layer-0": 1}})
            client.request(1, "get_summary", TRACE)
            await running.quiet()
            may_open.set()
            assert (await client.receive())["result"] == ["/a/traces"]

    run(test)


def test_an_editor_that_goes_is_gone_though_its_folder_does_not_answer() -> None:
    async def test() -> None:
        async with daemon({}) as running:
            asked, answers = asyncio.Event(), asyncio.Event()

            async def use_folder(session: object, path: object) -> None:
                asked.set()
                await answers.wait()

            running.state.use_folder = use_folder  # pyright: ignore[reportAttributeAccessIssue]
            client = await running.editor(initializationOptions={"traces_dir": "/a/traces"})
            await asked.wait()
            await client.close()
            await running.sessions(0)

    run(test)


@pytest.mark.parametrize("traces_dir", ["/not/a/folder", 5])
def test_a_folder_that_cannot_be_used_is_shown_and_the_session_goes_on(traces_dir: object) -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:

            async def refuse(session: object, path: object) -> None:
                raise StorageError(f"no folder at {path}")

            running.state.use_folder = refuse  # pyright: ignore[reportAttributeAccessIssue]
            client = await running.editor(initializationOptions={"traces_dir": traces_dir})
            shown = await client.receive()
            assert (shown["method"], shown["params"]["type"]) == ("window/showMessage", 1)
            assert ("/not/a/folder" if isinstance(traces_dir, str) else "$.traces_dir") in shown["params"]["message"]
            assert (await client.call(1, "get_summary", TRACE))["result"] == TRACE

    run(test)
