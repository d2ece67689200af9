"""The script connection: JSON-RPC 2.0 to the letter, and many requests at once."""

import asyncio
from typing import Any

import msgspec
import pytest

from daemon.server import script_connection
from protocol.errors import RpcError
from protocol.methods import TRACES_CHANGED
from protocol.types import TracesChanged
from tests.daemon.connections import REQUEST, TRACE, Client, Editor, Gate, cancel, daemon, echo, error_of, run


async def say(line: bytes) -> Any:
    """What the daemon answers to one line."""
    async with daemon({"get_summary": echo}) as running:
        client = await running.line()
        client.notify("this connection")
        client.write(line + b"\n" + REQUEST % b'"after"')
        client.writer.write_eof()
        answers = [await client.receive() for _ in range(3)]
        answers = answers[: answers.index(None)]
        after = [answer for answer in answers if isinstance(answer, dict) and answer["id"] == "after"]
        assert [answer["result"] for answer in after] == [TRACE]
        return next((answer for answer in answers if answer not in after), None)


def test_a_request_is_answered() -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            client = await running.line()
            assert await client.call(1, "get_summary", TRACE) == {"jsonrpc": "2.0", "id": 1, "result": TRACE}

    run(test)


@pytest.mark.parametrize("identifier", [b'"x"', b"0", b"-7", b"1.5", b"null", b"123456789012345678901234567890", b'""'])
def test_an_id_comes_back_as_it_was(identifier: bytes) -> None:
    answer = asyncio.run(say(REQUEST % identifier))
    assert answer == {"jsonrpc": "2.0", "id": msgspec.json.decode(identifier), "result": TRACE}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"nonsense", (None, -32700, "PARSE_ERROR")),
        (b'{"jsonrpc":"2.0","id":1,"method":"get_summary","params":NaN}', (1, -32600, "INVALID_REQUEST")),
        (b'{"jsonrpc":"2.0","id":1,"method":"m","params":{"trace_id":"\xff"}}', (1, -32700, "PARSE_ERROR")),
        (b"[" * 200 + b"]" * 200, (None, -32700, "PARSE_ERROR")),
        (b"[]", (None, -32600, "INVALID_REQUEST")),
        (b"[" + b",".join([b"1"] * 1001) + b"]", (None, -32600, "INVALID_REQUEST")),
        (b'{"method":"get_summary","id":1}', (1, -32600, "INVALID_REQUEST")),
        (b'{"jsonrpc":"1.0","method":"get_summary","id":1}', (1, -32600, "INVALID_REQUEST")),
        (b'{"jsonrpc":2.0,"method":"get_summary","id":1}', (1, -32600, "INVALID_REQUEST")),
        (b'{"jsonrpc":"2.0","id":1}', (1, -32600, "INVALID_REQUEST")),
        (b'{"jsonrpc":"2.0","method":3}', (None, -32600, "INVALID_REQUEST")),
        (b'{"jsonrpc":"2.0","method":null,"id":"x"}', ("x", -32600, "INVALID_REQUEST")),
        (b'{"jsonrpc":"2.0","method":"get_summary","params":"a","id":1}', (1, -32600, "INVALID_REQUEST")),
        (REQUEST % b"1e400", (None, -32600, "INVALID_REQUEST")),
        (REQUEST % b'"\\ud83d"', (None, -32600, "INVALID_REQUEST")),
        (REQUEST % (b'"' + b"x" * 1001 + b'"'), ("x" * 1001, -32600, "INVALID_REQUEST")),
        (REQUEST % (b'"' + b"x" * 100_000 + b'"'), (None, -32600, "INVALID_REQUEST")),
        (b'{"jsonrpc":"2.0","method":"get_summary","params":{"trace_id":"\\ud83d"},"id":1}',
         (1, -32602, "INVALID_PARAMS")),
        (b'{"jsonrpc":"2.0","method":"get_summary","params":{"trace_id":1e400},"id":1}', (1, -32602, "INVALID_PARAMS")),
        (b'\xef\xbb\xbf{"jsonrpc":"2.0","method":"nothing","id":1}', (1, -32601, "METHOD_NOT_FOUND")),
        (b'{"jsonrpc":"2.0","id":1,"method":"get_summary","params":' + b"[" * 101 + b"]" * 101 + b"}",
         (1, -32700, "PARSE_ERROR")),
        (REQUEST % b"true", (None, -32600, "INVALID_REQUEST")),
        (REQUEST % b"{}", (None, -32600, "INVALID_REQUEST")),
        (REQUEST % b"[1]", (None, -32600, "INVALID_REQUEST")),
        (b'{"jsonrpc":"2.0","method":"nothing","id":1}', (1, -32601, "METHOD_NOT_FOUND")),
        (b'{"jsonrpc":"2.0","method":"get_summary","id":1}', (1, -32602, "INVALID_PARAMS")),
        (b'{"jsonrpc":"2.0","method":"get_summary","params":["a"],"id":1}', (1, -32602, "INVALID_PARAMS")),
        (b'{"jsonrpc":"2.0","method":"get_summary","params":{"trace_id":"a","self":1,"context":2},"id":1}',
         (1, -32602, "INVALID_PARAMS")),
    ],
)  # fmt: skip
def test_each_fault_has_its_error_and_the_connection_goes_on(line: bytes, expected: object) -> None:
    assert error_of(asyncio.run(say(line))) == expected


@pytest.mark.parametrize(
    "line",
    [
        b"", b"  \r", b'{"jsonrpc":"2.0","method":"get_summary","params":{"trace_id":"a"}}',
        b'{"jsonrpc":"2.0","method":"nothing"}',
        b'{"jsonrpc":"2.0","method":"get_summary","params":{"trace_id":1e400}}',
        b'{"jsonrpc":"2.0","method":"get_summary","params":[1]}',
        b'[{"jsonrpc":"2.0","method":"get_summary","params":{"trace_id":"a"}},{"jsonrpc":"2.0","method":"nothing"}]',
    ],
)  # fmt: skip
def test_notifications_and_blank_lines_are_not_answered(line: bytes) -> None:
    assert asyncio.run(say(line)) is None


def test_an_id_is_echoed_exactly_however_large_a_number_it_is() -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            client = await running.line()
            for identifier in (2**53 + 1, 2**64, -(10**400), 1.5, "é😀"):
                answer = await client.call(identifier, "get_summary", TRACE)
                assert (answer["id"], answer["result"]) == (identifier, TRACE)

    run(test)


def test_one_entry_of_a_batch_that_cannot_be_kept_costs_itself_alone() -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            client = await running.line()
            good, bad = (REQUEST % b"1", (REQUEST % b"2").replace(b'"a"', b'"\\ud83d"'))
            silent = b'{"jsonrpc":"2.0","method":"get_summary","params":{"trace_id":NaN}}'
            client.write(b"[" + b",".join([good, bad, silent]) + b"]\n")
            first, second = await client.receive()
            assert (first["id"], first["result"]) == (1, TRACE)
            assert error_of(second) == (2, -32602, "INVALID_PARAMS")

    run(test)


def test_names_of_no_meaning_and_params_null_or_empty_are_tolerated() -> None:
    async def test() -> None:
        async def status(context: Any, params: Any) -> str:
            return "well"

        async with daemon({"get_status": status}) as running:
            client = await running.line()
            for params in (None, [], {}):
                client.request(1, "get_status", params, extra={"a": 1}, traceparent="x")
                assert (await client.receive())["result"] == "well"

    run(test)


def test_params_as_a_list_are_told_to_go_by_name() -> None:
    answer = asyncio.run(say(b'{"jsonrpc":"2.0","method":"get_summary","params":["a"],"id":1}'))
    assert "by name" in answer["error"]["message"]


def test_a_batch_is_answered_entry_by_entry() -> None:
    line = (
        b'[1,{"jsonrpc":"2.0","id":7,"method":"nothing"},' + REQUEST % b'"a"' + b',{"jsonrpc":"2.0","id":"b"},'
        b'{"jsonrpc":"2.0","method":"get_summary","params":{"trace_id":"a"}},[],' + REQUEST % b'"a"' + b"]"
    )
    answer = asyncio.run(say(line))
    assert [(entry["id"], entry.get("error", {}).get("code")) for entry in answer] == [
        (None, -32600), (7, -32601), ("a", None), ("b", -32600), (None, -32600), ("a", -32600),
    ]  # fmt: skip


def test_requests_of_one_client_run_at_once_and_answers_come_as_they_are_ready() -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate, "get_summary": echo}) as running:
            client = await running.line()
            client.request("slow", "get_tokens", TRACE)
            client.request("fast", "get_summary", TRACE)
            assert (await client.receive())["id"] == "fast"
            gate.opened.set()
            assert (await client.receive())["id"] == "slow"

    run(test)


def test_an_id_in_flight_is_not_taken_twice_and_is_free_again_later() -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate}) as running:
            client = await running.line()
            client.request(1, "get_tokens", TRACE)
            client.request(1, "get_tokens", TRACE)
            assert error_of(await client.receive()) == (1, -32600, "INVALID_REQUEST")
            gate.opened.set()
            assert (await client.receive())["result"] == TRACE
            assert (await client.call(1, "get_tokens", TRACE))["result"] == TRACE

    run(test)


def test_cancel_ends_a_request_that_runs_and_one_that_waits() -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate, "cancel": cancel}) as running:
            client = await running.line()
            for number in range(script_connection.RUNNING_LIMIT + 2):
                client.request(number, "get_tokens", TRACE)
            await gate.until(running=script_connection.RUNNING_LIMIT)
            for number in (0, script_connection.RUNNING_LIMIT + 1, 999):
                client.request("c", "cancel", {"id": number})
                answers = {
                    answer["id"]: answer for answer in [await client.receive() for _ in range(1 + (number != 999))]
                }
                assert answers["c"]["result"] == {"cancelled": number != 999}
                if number != 999:
                    assert error_of(answers[number]) == (number, -32800, "CANCELLED")
            await gate.until(cancelled=1)  # the other had not begun

    run(test)


@pytest.mark.parametrize("ends", ["too late", "by its own words"])
@pytest.mark.parametrize("kind", [Client, Editor])
def test_a_handler_that_is_cancelled_has_the_last_word(kind: type[Client], ends: str) -> None:
    async def test() -> None:
        begun = asyncio.Event()

        async def handler(context: Any, params: Any) -> object:
            try:
                begun.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if ends == "too late":
                    return "saved already"
                raise RpcError("CANCELLED", "after 3 tokens") from None

        async with daemon({"get_tokens": handler, "cancel": cancel}) as running:
            client = await running.editor() if kind is Editor else await running.line()
            client.request(1, "get_tokens", TRACE)
            await begun.wait()
            client.notify("cancel", {"id": 1})
            answer = await client.receive()
            if ends == "too late":
                assert answer == {"jsonrpc": "2.0", "id": 1, "result": "saved already"}
            else:
                assert (error_of(answer), answer["error"]["message"]) == ((1, -32800, "CANCELLED"), "after 3 tokens")

    run(test)


def test_a_cancel_in_the_same_breath_as_its_request() -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate, "cancel": cancel}) as running:
            client = await running.line()
            request = {"jsonrpc": "2.0", "id": 1, "method": "get_tokens", "params": TRACE}
            client.send([request, {"jsonrpc": "2.0", "id": 2, "method": "cancel", "params": {"id": 1}}])
            first, second = await client.receive()
            assert error_of(first) == (1, -32800, "CANCELLED")
            assert second["result"] == {"cancelled": True}

    run(test)


def test_notifications_go_out_as_lines_from_any_thread() -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            client = await running.line()
            await client.call(1, "get_summary", TRACE)
            session = running.state.sessions[1]
            assert session.kind == "line"
            await asyncio.to_thread(session.notify, TRACES_CHANGED, TracesChanged(traces_dir="/a", added=["b"]))
            told = {"traces_dir": "/a", "added": ["b"], "changed": [], "removed": []}
            assert await client.receive() == {"jsonrpc": "2.0", "method": "traces_changed", "params": told}
            session.notify(TRACES_CHANGED, TracesChanged(traces_dir="\ud800"))
            assert (await client.receive())["params"]["traces_dir"] == "\ufffd"
            assert (await client.call(2, "get_summary", TRACE))["id"] == 2

    run(test)
