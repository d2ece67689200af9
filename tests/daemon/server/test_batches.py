"""Large batches of a script: answered in their order, and no more of their results in memory than of other requests."""

import weakref
from typing import Any

import msgspec
import pytest

from daemon.server import script_connection
from daemon.wire.messages import ANSWER_LIMIT
from tests.daemon.connections import REQUEST, TRACE, Gate, daemon, error_of, eventually, run

COUNT = 600


class Large(msgspec.Struct, weakref=True, eq=False):
    """A result; `Results` knows how many are in memory."""

    text: str


class Results:
    """A handler that knows how many of its results were in memory at once, and how many it made."""

    def __init__(self, size: int) -> None:
        self.size, self.made, self.most = size, 0, 0
        self.alive: weakref.WeakSet[Large] = weakref.WeakSet()

    async def __call__(self, context: Any, params: Any) -> Large:
        result = Large("x" * self.size)
        self.alive.add(result)
        self.made += 1
        self.most = max(self.most, len(self.alive))
        return result


def batch(count: int) -> bytes:
    return b"[" + b",".join([REQUEST % b"%d" % number for number in range(count)]) + b"]\n"


def test_results_of_a_batch_go_as_they_are_written() -> None:
    async def test() -> None:
        results = Results(ANSWER_LIMIT // 100)
        async with daemon({"get_summary": results}) as running:
            client = await running.line()
            client.write(batch(COUNT))
            answers = await client.receive()
            assert [answer["id"] for answer in answers] == list(range(COUNT))
            fit = [number for number, answer in enumerate(answers) if "result" in answer]
            assert fit == list(range(len(fit)))
            assert 90 < len(fit) < 101
            assert {error_of(answer)[2] for answer in answers[len(fit) :]} == {"TOO_LARGE"}
            assert results.made == COUNT
            assert results.most <= script_connection.IN_FLIGHT_LIMIT

    run(test)


@pytest.mark.parametrize("notifications", [0, 200])
def test_results_that_wait_for_an_earlier_one_count_as_in_flight(notifications: int) -> None:
    async def test() -> None:
        gate, results = Gate(), Results(1)
        async with daemon({"get_tokens": gate, "get_summary": results}) as running:
            client = await running.line()
            first = {"jsonrpc": "2.0", "id": "first", "method": "get_tokens", "params": TRACE}
            silent = {"jsonrpc": "2.0", "method": "get_summary", "params": TRACE}
            later = [silent | {"id": number} for number in range(COUNT)]
            client.send([first, *[silent] * notifications, *later])
            await eventually(lambda: results.made == script_connection.IN_FLIGHT_LIMIT - 1)
            await running.quiet()
            assert results.made == script_connection.IN_FLIGHT_LIMIT - 1
            gate.opened.set()
            assert [answer["id"] for answer in await client.receive()] == ["first", *range(COUNT)]
            assert (await client.call("after", "get_summary", TRACE))["result"] == {"text": "x"}

    run(test)
