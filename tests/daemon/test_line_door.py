"""The line door: JSON-RPC 2.0 to the letter, many requests at once, and clients that stop and vanish as they like."""

import asyncio
import math
import random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from daemon import line_door
from daemon.framing import BODY_LIMIT
from daemon.messages import ANSWER_LIMIT
from protocol.methods import TRACES_CHANGED
from protocol.types import TracesChanged
from tests.daemon.doors import Gate, daemon, echo

TRACE = {"trace_id": "a"}


def run(test: Any) -> None:
    asyncio.run(test())


def error(response: Any) -> tuple[object, int, str]:
    assert set(response) == {"jsonrpc", "id", "error"}
    return response["id"], response["error"]["code"], response["error"]["data"]["name"]


async def say(line: bytes) -> Any:
    """What the daemon answers to one line."""
    async with daemon({"get_summary": echo}) as running:
        client = await running.line()
        client.notify("this door")
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


REQUEST = b'{"jsonrpc":"2.0","method":"get_summary","params":{"trace_id":"a"},"id":%b}'


@pytest.mark.parametrize("identifier", [b'"x"', b"0", b"-7", b"1.5", b"null", b"123456789012345678901234567890", b'""'])
def test_an_id_comes_back_as_it_was(identifier: bytes) -> None:
    answer = asyncio.run(say(REQUEST % identifier))
    assert answer == {"jsonrpc": "2.0", "id": msgspec.json.decode(identifier), "result": TRACE}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"nonsense", (None, -32700, "PARSE_ERROR")),
        (b'{"jsonrpc":"2.0","id":1,"method":"get_summary","params":NaN}', (None, -32700, "PARSE_ERROR")),
        (b'{"jsonrpc":"2.0","id":1,"method":"m","params":{"trace_id":"\xff"}}', (None, -32700, "PARSE_ERROR")),
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
    assert error(asyncio.run(say(line))) == expected


@pytest.mark.parametrize(
    "line",
    [
        b"", b"  \r", b'{"jsonrpc":"2.0","method":"get_summary","params":{"trace_id":"a"}}',
        b'{"jsonrpc":"2.0","method":"nothing"}', b'{"jsonrpc":"2.0","method":"get_summary","params":[1]}',
        b'[{"jsonrpc":"2.0","method":"get_summary","params":{"trace_id":"a"}},{"jsonrpc":"2.0","method":"nothing"}]',
    ],
)  # fmt: skip
def test_notifications_and_blank_lines_are_not_answered(line: bytes) -> None:
    assert asyncio.run(say(line)) is None


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


def test_a_line_over_the_limit_is_told_and_skipped() -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            client = await running.line()
            client.write(b'{"' + b"x" * (BODY_LIMIT + 1000) + b"\n")
            assert error(await client.receive()) == (None, -31012, "TOO_LARGE")
            assert (await client.call(1, "get_summary", TRACE))["result"] == TRACE

    run(test)


def test_answers_that_cannot_be_written_or_are_too_large_are_errors_of_their_own() -> None:
    async def test() -> None:
        results = {
            "get_summary": {"x": object()},
            "get_tokens": "x" * (ANSWER_LIMIT + 1),
            "get_status": "\ud800",
            "list_traces": {"a": math.nan, "b": [math.inf]},
        }
        handlers: Any = {name: lambda c, p, r=result: asyncio.sleep(0, r) for name, result in results.items()}
        async with daemon(handlers) as running:
            client = await running.line()
            assert error(await client.call(1, "get_summary", TRACE)) == (1, -32603, "INTERNAL_ERROR")
            assert error(await client.call(2, "get_tokens", TRACE)) == (2, -31012, "TOO_LARGE")
            assert error(await client.call(3, "get_status")) == (3, -32603, "INTERNAL_ERROR")
            assert (await client.call(4, "list_traces"))["result"] == {"a": None, "b": [None]}

    run(test)


def test_a_handler_that_fails_shows_nothing_of_its_inside() -> None:
    async def test() -> None:
        async def failing(context: Any, params: Any) -> None:
            raise ValueError("secret")

        async with daemon({"get_summary": failing}) as running:
            client = await running.line()
            answer = await client.call(1, "get_summary", TRACE)
            assert error(answer) == (1, -32603, "INTERNAL_ERROR")
            assert "secret" not in str(answer)

    run(test)


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
            assert error(await client.receive()) == (1, -32600, "INVALID_REQUEST")
            gate.opened.set()
            assert (await client.receive())["result"] == TRACE
            assert (await client.call(1, "get_tokens", TRACE))["result"] == TRACE

    run(test)


async def cancel(context: Any, params: Any) -> object:
    return {"cancelled": context.session.cancel(params.id)}


def test_cancel_ends_a_request_that_runs_and_one_that_waits() -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate, "cancel": cancel}) as running:
            client = await running.line()
            for number in range(line_door.RUNNING_LIMIT + 2):
                client.request(number, "get_tokens", TRACE)
            await gate.until(running=line_door.RUNNING_LIMIT)
            for number in (0, line_door.RUNNING_LIMIT + 1, 999):
                client.request("c", "cancel", {"id": number})
                answers = {
                    answer["id"]: answer for answer in [await client.receive() for _ in range(1 + (number != 999))]
                }
                assert answers["c"]["result"] == {"cancelled": number != 999}
                if number != 999:
                    assert error(answers[number]) == (number, -32800, "CANCELLED")
            await gate.until(cancelled=1)  # the other had not begun

    run(test)


def test_a_cancel_in_the_same_breath_as_its_request() -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate, "cancel": cancel}) as running:
            client = await running.line()
            request = {"jsonrpc": "2.0", "id": 1, "method": "get_tokens", "params": TRACE}
            client.send([request, {"jsonrpc": "2.0", "id": 2, "method": "cancel", "params": {"id": 1}}])
            first, second = await client.receive()
            assert error(first) == (1, -32800, "CANCELLED")
            assert second["result"] == {"cancelled": True}

    run(test)


def test_a_client_with_too_much_in_flight_is_not_read_until_there_is_room() -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate, "get_summary": echo}) as running:
            client, other = await running.line(), await running.line()
            count = 3000
            for number in range(count):
                client.request(number, "get_tokens", {"trace_id": "x" * 1000})
            await gate.until(running=line_door.RUNNING_LIMIT)
            assert (await other.call(1, "get_summary", TRACE))["result"] == TRACE
            mine = min(running.hub.sessions.values(), key=lambda session: session.number)
            assert len(mine.calls) == line_door.ADMITTED_LIMIT
            gate.opened.set()
            assert {(await client.receive())["id"] for _ in range(count)} == set(range(count))
            assert gate.most == line_door.RUNNING_LIMIT

    run(test)


def test_one_that_hangs_up_while_it_is_not_read_is_noticed() -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate}) as running:
            client = await running.line()
            for number in range(1000):
                client.request(number, "get_tokens", TRACE)
            await gate.until(running=line_door.RUNNING_LIMIT)
            await client.close()
            await running.sessions(0)
            await gate.until(running=0)

    run(test)


def test_half_closed_the_rest_is_answered_then_the_connection_ends() -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon(
            {"get_tokens": gate, "get_summary": lambda c, p: asyncio.sleep(0, "x" * 20_000_000)}
        ) as running:
            client = await running.line()
            client.request(1, "get_tokens", TRACE)
            client.write(REQUEST % b"2")  # and no line end
            client.writer.write_eof()
            assert len((await client.receive())["result"]) == 20_000_000
            await gate.until(running=1)
            gate.opened.set()
            assert (await client.receive())["id"] == 1
            assert await client.receive() is None
            await running.sessions(0)

    run(test)


def test_half_closed_first_and_hung_up_later_is_cancelled() -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate}) as running:
            client = await running.line()
            client.request(1, "get_tokens", TRACE)
            client.writer.write_eof()
            await gate.until(running=1)
            await asyncio.sleep(2 * line_door.LOOK_SECONDS)
            assert gate.cancelled == 0
            await client.close()
            await gate.until(cancelled=1)
            await running.sessions(0)

    run(test)


def test_a_client_that_vanishes_in_mid_frame_has_its_work_cancelled() -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate}) as running:
            client = await running.line()
            client.request(1, "get_tokens", TRACE)
            client.send([{"jsonrpc": "2.0", "id": 2, "method": "get_tokens", "params": TRACE}])
            client.notify("get_tokens", TRACE)
            client.write(b'{"jsonrpc":"2.0","id":3,"meth')
            await gate.until(running=3)
            client.writer.transport.abort()
            await gate.until(cancelled=3, running=0)
            await running.sessions(0)

    run(test)


def test_eight_clients_with_large_answers_each_get_their_own_whole() -> None:
    async def test() -> None:
        async def large(context: Any, params: Any) -> object:
            return params.trace_id * 400_000

        async def client(running: Any, letter: str) -> None:
            line = await running.line()
            for number in range(10):
                line.request(f"{letter}{number}", "get_tokens", {"trace_id": letter})
            answers = [await line.receive() for _ in range(10)]
            assert sorted(answer["id"] for answer in answers) == [f"{letter}{number}" for number in range(10)]
            assert all(answer["result"] == letter * 400_000 for answer in answers)

        async with daemon({"get_tokens": large}) as running:
            await asyncio.gather(*(client(running, letter) for letter in "abcdefgh"))

    run(test)


def test_a_client_that_never_reads_is_dropped_and_others_are_served() -> None:
    async def test() -> None:
        async with daemon({"get_tokens": lambda c, p: asyncio.sleep(0, "x" * 400_000), "get_summary": echo}) as running:
            client, other = await running.line(), await running.line()
            client.writer.transport.pause_reading()  # pyright: ignore[reportAttributeAccessIssue]
            for number in range(100):
                client.request(number, "get_tokens", TRACE)
            await running.sessions(1)
            session = running.hub.sessions[1]
            for number in range(200):
                session.notify(TRACES_CHANGED, TracesChanged(traces_dir="x" * 400_000))
                if number % 20 == 0:
                    assert (await other.call(number, "get_summary", TRACE))["result"] == TRACE
            await running.sessions(1)
            assert (await other.call("last", "get_summary", TRACE))["result"] == TRACE

    run(test)


def test_notifications_go_out_as_lines_from_any_thread() -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            client = await running.line()
            await client.call(1, "get_summary", TRACE)
            session = running.hub.sessions[1]
            assert session.door == "line"
            await asyncio.to_thread(session.notify, TRACES_CHANGED, TracesChanged(traces_dir="/a", added=["b"]))
            told = {"traces_dir": "/a", "added": ["b"], "changed": [], "removed": []}
            assert await client.receive() == {"jsonrpc": "2.0", "method": "traces_changed", "params": told}
            session.notify(TRACES_CHANGED, TracesChanged(traces_dir="\ud800"))  # cannot be written: left out
            assert (await client.call(2, "get_summary", TRACE))["id"] == 2

    run(test)


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
MEMBER = (
    some.sampled_from(["2.0", "get_summary", "cancel", "nothing", 1, None, True, 1.5, {}, [], {"trace_id": "a"}]) | JSON
)
REQUESTS = some.fixed_dictionaries(
    {}, optional={"jsonrpc": some.just("2.0") | MEMBER, "id": MEMBER, "method": MEMBER, "params": MEMBER, "x": MEMBER}
)
LINES = some.binary(max_size=60) | (REQUESTS | some.lists(REQUESTS, max_size=4) | JSON).map(
    lambda value: msgspec.json.encode(value) if _encodes(value) else b"{"
)


def _encodes(value: object) -> bool:
    try:
        msgspec.json.encode(value)
    except ValueError:
        return False
    return True


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(some.lists(LINES, min_size=30, max_size=60), some.booleans(), some.randoms())
def test_whatever_is_said_the_next_client_is_served(lines: list[bytes], vanishes: bool, chance: random.Random) -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo, "cancel": cancel}) as running:
            client = await running.line()
            client.write(b"{\n")  # this door
            stream = b"\n".join(lines)
            client.write(stream[: chance.randrange(len(stream) + 1)] if vanishes else stream + b"\n")
            if vanishes:
                client.writer.transport.abort()
            else:
                client.request("the last", "get_summary", TRACE)
                while (answer := await client.receive()) is None or "the last" not in str(answer):
                    assert answer is not None
            other = await running.line()
            assert (await other.call(1, "get_summary", TRACE))["result"] == TRACE

    run(test)
