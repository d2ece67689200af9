"""Editors that misbehave: each is told, or let go, and the next one is served."""

import asyncio
import gc
import random
import weakref
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from daemon.editor import connection
from daemon.wire.framing import BODY_LIMIT
from protocol.methods import TRACES_CHANGED
from protocol.types import TracesChanged
from tests.daemon.connections import TRACE, Editor, Gate, daemon, echo, error_of, run, session_of


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
        ({"jsonrpc": "2.0", "id": 1, "method": "get_summary", "params": {"workDoneToken": True} | TRACE}, (1, -32602)),
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


def test_json_that_is_none_in_a_good_frame_is_told_and_the_connection_goes_on() -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            client = await running.editor()
            for body in (
                b"",
                b"{",
                b"\xff",
                b"[" * 300,
            ):
                client.write(client.frame(body))
                assert error_of(await client.receive()) == (None, -32700, "PARSE_ERROR")
            client.write(b"content-length:" + str(len(b"[]")).encode() + b"\r\nX: y\r\n\r\n[]")
            assert error_of(await client.receive()) == (None, -32600, "INVALID_REQUEST")
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


def test_a_command_that_breaks_is_answered_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    async def breaking(call: object, params: object) -> None:
        raise ValueError("secret")

    async def test() -> None:
        async with daemon({}) as running:
            client = await running.connect(Editor)
            with pytest.MonkeyPatch.context() as patch:
                register = lambda server: server.own_command("x", breaking, announced=False)  # noqa: E731
                patch.setattr(connection, "FEATURES", (register,))
                await client.initialize()
            answer = await client.call(1, "workspace/executeCommand", {"command": "x"})
            assert error_of(answer) == (1, -32603, "INTERNAL_ERROR")
            assert "secret" not in str(answer)

    run(test)
    assert "secret" in caplog.text


def test_a_body_over_the_limit_is_told_and_skipped() -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            client = await running.editor()
            client.write(client.frame(b"x" * (BODY_LIMIT + 1)))
            assert error_of(await client.receive()) == (None, -31012, "TOO_LARGE")
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
            session = running.state.sessions[1]
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


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
