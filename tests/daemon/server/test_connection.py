"""What all connections do alike; the rest is tested through both kinds."""

import asyncio

import pytest

from daemon.server.connection import outcome, response_of
from daemon.server.session import Call
from protocol.errors import ERRORS, RpcError


async def failing() -> object:
    raise RpcError("TRACE_NOT_FOUND", "There is none.")


async def three() -> int:
    return 3


@pytest.mark.parametrize("work", [three, failing])
def test_what_a_request_comes_to_cannot_be_cancelled_any_more(work) -> None:
    async def test() -> None:
        call = Call(1, "get_tokens")
        response = await outcome(call, work())
        call.task = asyncio.ensure_future(asyncio.sleep(0.01))
        call.stop()
        await call.task
        assert response_of(call) is response

    asyncio.run(test())


def test_nor_can_the_answer_that_it_was_cancelled() -> None:
    """It may wait long for a client that does not read; a second cancel must not take it away."""

    async def test() -> None:
        call = Call(1, "get_tokens")
        response = response_of(call)
        assert response["error"]["code"] == ERRORS["CANCELLED"].code
        call.task = asyncio.ensure_future(asyncio.sleep(0.01))
        call.stop()
        await call.task
        assert response_of(call, ValueError("late")) is response

    asyncio.run(test())
