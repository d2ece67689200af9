"""Line clients that misbehave: each is told, or let go, and the next one is served."""

import asyncio
import math
import random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from daemon.server import script_connection
from daemon.wire import outbox
from daemon.wire.framing import BODY_LIMIT
from daemon.wire.messages import ANSWER_LIMIT
from protocol.methods import TRACES_CHANGED
from protocol.types import TracesChanged
from tests.daemon.connections import REQUEST, TRACE, Gate, cancel, daemon, echo, error_of, run


def test_a_line_over_the_limit_is_told_and_skipped() -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            client = await running.line()
            client.write(b'{"' + b"x" * (BODY_LIMIT + 1000) + b"\n")
            assert error_of(await client.receive()) == (None, -31012, "TOO_LARGE")
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
            assert error_of(await client.call(1, "get_summary", TRACE)) == (1, -32603, "INTERNAL_ERROR")
            assert error_of(await client.call(2, "get_tokens", TRACE)) == (2, -31012, "TOO_LARGE")
            assert (await client.call(3, "get_status"))["result"] == "\ufffd"
            assert (await client.call(4, "list_traces"))["result"] == {"a": None, "b": [None]}

    run(test)


def test_a_batch_whose_answers_are_too_large_together_has_as_many_as_fit() -> None:
    async def test() -> None:
        async with daemon({"get_summary": lambda c, p: asyncio.sleep(0, "x" * (ANSWER_LIMIT // 3))}) as running:
            client = await running.line()
            client.write(b"[" + b",".join([REQUEST % b"%d" % number for number in range(5)]) + b"]\n")
            names = [entry.get("error", {}).get("data", {}).get("name") for entry in await client.receive()]
            assert names == [None, None, "TOO_LARGE", "TOO_LARGE", "TOO_LARGE"]

    run(test)


def test_a_handler_that_fails_shows_nothing_of_its_inside() -> None:
    async def test() -> None:
        async def failing(context: Any, params: Any) -> None:
            raise ValueError("secret")

        async with daemon({"get_summary": failing}) as running:
            client = await running.line()
            answer = await client.call(1, "get_summary", TRACE)
            assert error_of(answer) == (1, -32603, "INTERNAL_ERROR")
            assert "secret" not in str(answer)

    run(test)


def test_a_client_with_too_much_in_flight_is_not_read_until_there_is_room() -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate, "get_summary": echo}) as running:
            client, other = await running.line(), await running.line()
            count = 3000
            for number in range(count):
                client.request(number, "get_tokens", {"trace_id": "x" * 200})
            await gate.until(running=script_connection.RUNNING_LIMIT)
            assert (await other.call(1, "get_summary", TRACE))["result"] == TRACE
            mine = min(running.state.sessions.values(), key=lambda session: session.number)
            assert len(mine.calls) == script_connection.IN_FLIGHT_LIMIT
            gate.opened.set()
            assert {(await client.receive())["id"] for _ in range(count)} == set(range(count))
            assert gate.most == script_connection.RUNNING_LIMIT

    run(test)


def test_one_that_hangs_up_while_it_is_not_read_is_noticed() -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate}) as running:
            client = await running.line()
            for number in range(1000):
                client.request(number, "get_tokens", TRACE)
            await gate.until(running=script_connection.RUNNING_LIMIT)
            await client.close()
            await running.sessions(0)
            await gate.until(running=0)

    run(test)


def test_half_closed_the_rest_is_answered_then_the_connection_ends() -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate, "get_summary": echo}) as running:
            client = await running.line()
            client.request(1, "get_tokens", TRACE)
            client.write(REQUEST % b"2")  # and no line end
            client.writer.write_eof()
            assert (await client.receive())["id"] == 2
            await gate.until(running=1)
            gate.opened.set()
            assert (await client.receive())["id"] == 1
            assert await client.receive() is None
            await running.sessions(0)

    run(test)


def test_half_closed_a_large_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FLUSH_SECONDS", 0)

    async def test() -> None:
        async with daemon({"get_summary": lambda c, p: asyncio.sleep(0, "x" * 20_000_000)}) as running:
            client = await running.line()
            client.writer.transport.pause_reading()  # pyright: ignore[reportAttributeAccessIssue]
            client.write(REQUEST % b"1")
            client.writer.write_eof()
            await running.quiet()
            client.writer.transport.resume_reading()  # pyright: ignore[reportAttributeAccessIssue]
            assert len((await client.receive())["result"]) == 20_000_000
            assert await client.receive() is None

    run(test)


def test_half_closed_first_and_hung_up_later_is_cancelled() -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate}) as running:
            client = await running.line()
            client.request(1, "get_tokens", TRACE)
            client.writer.write_eof()
            await gate.until(running=1)
            await asyncio.sleep(2 * script_connection.LOOK_SECONDS)
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


def test_one_that_reads_late_is_not_read_meanwhile_and_gets_every_answer() -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            client = await running.line()
            client.writer.transport.pause_reading()  # pyright: ignore[reportAttributeAccessIssue]
            for number in range(4000):  # what is wrong is answered at once, with its id
                client.send({"id": f"{number:x<10000}"})
            await running.quiet()
            client.writer.transport.resume_reading()  # pyright: ignore[reportAttributeAccessIssue]
            for number in range(4000):
                assert (await client.receive())["id"].rstrip("x") == str(number)

    run(test)


@pytest.mark.parametrize("framing", ["line", "line in batches", "editor"])
def test_answers_wait_for_one_that_reads_late(framing: str) -> None:
    async def test() -> None:
        size, count = 2_000_000, 30  # more than may wait for a client
        async with daemon({"get_summary": lambda c, p: asyncio.sleep(0, "x" * size)}) as running:
            client = await running.editor() if framing == "editor" else await running.line()
            client.writer.transport.pause_reading()  # pyright: ignore[reportAttributeAccessIssue]
            for number in range(count):
                request = REQUEST % b"%d" % number
                client.write(client.frame(b"[%b]" % request if framing == "line in batches" else request))
            await running.quiet()
            client.writer.transport.resume_reading()  # pyright: ignore[reportAttributeAccessIssue]
            for _ in range(count):
                answer = await client.receive()
                assert len((answer[0] if isinstance(answer, list) else answer)["result"]) == size

    run(test)


def test_a_client_that_never_reads_is_dropped_and_others_are_served() -> None:
    async def test() -> None:
        async with daemon({"get_tokens": lambda c, p: asyncio.sleep(0, "x" * 400_000), "get_summary": echo}) as running:
            client, other = await running.line(), await running.line()
            client.writer.transport.pause_reading()  # pyright: ignore[reportAttributeAccessIssue]
            for number in range(100):
                client.request(number, "get_tokens", TRACE)
            await running.sessions(1)
            session = running.state.sessions[1]
            for number in range(200):
                session.notify(TRACES_CHANGED, TracesChanged(traces_dir="x" * 400_000))
                if number % 20 == 0:
                    assert (await other.call(number, "get_summary", TRACE))["result"] == TRACE
            await running.sessions(1)
            assert (await other.call("last", "get_summary", TRACE))["result"] == TRACE

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


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(some.lists(LINES, min_size=30, max_size=60), some.booleans(), some.randoms())
def test_whatever_is_said_the_next_client_is_served(lines: list[bytes], vanishes: bool, chance: random.Random) -> None:
    async def test() -> None:
        async with daemon({"get_summary": echo, "cancel": cancel}) as running:
            client = await running.line()
            client.write(b"{\n")  # this framing
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


def test_an_answer_about_a_trace_that_is_too_large_tells_which_trace() -> None:
    class Saved(msgspec.Struct):
        trace_id: str
        metadata: str

    async def test() -> None:
        made = Saved("trace_1", "x" * (ANSWER_LIMIT + 1))
        async with daemon({"generate_and_capture": lambda c, p: asyncio.sleep(0, made)}) as running:
            client = await running.line()
            answer = await client.call(1, "generate_and_capture", {"prompt": "x"})
            assert error_of(answer) == (1, -31012, "TOO_LARGE")
            assert answer["error"]["data"]["trace_id"] == "trace_1"
            assert "trace_1" in answer["error"]["message"]

    run(test)
