"""Cancelled before its work has begun: a request has exactly one answer all the same."""

import asyncio
from typing import Any

import pytest

from daemon.server.session import Call, Session
from tests.daemon.connections import (
    REQUEST,
    TRACE,
    Client,
    Editor,
    Gate,
    cancel,
    daemon,
    echo,
    error_of,
    run,
    session_of,
)

COUNT = 100


@pytest.mark.parametrize("kind", [Client, Editor])
def test_a_burst_of_requests_each_cancelled_in_the_same_write(kind: type[Client]) -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate, "get_summary": echo, "cancel": cancel}) as running:
            client = await running.editor() if kind is Editor else await running.line()
            burst = b""
            for number in range(COUNT):
                burst += client.frame((REQUEST % b"%d" % number).replace(b"get_summary", b"get_tokens"))
                burst += client.frame(b'{"jsonrpc":"2.0","method":"cancel","params":{"id":%d}}' % number)
            client.write(burst)
            answers = [await client.receive() for _ in range(COUNT)]
            assert sorted(map(error_of, answers)) == [(number, -32800, "CANCELLED") for number in range(COUNT)]
            assert (await client.call("after", "get_summary", TRACE))["result"] == TRACE
            assert session_of(running).calls == {}

    run(test)


@pytest.mark.parametrize("how", ["editor", "line", "batch"])
def test_a_request_cancelled_before_its_first_step_is_answered(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the daemon's end does it to what it has just read."""
    begin = Session.begin

    def begin_and_cancel(session: Session, call: Call) -> None:
        begin(session, call)
        if call.method == "get_tokens":
            asyncio.get_running_loop().call_soon(call.stop)  # its task is made next, and begins after this

    monkeypatch.setattr(Session, "begin", begin_and_cancel)

    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate, "get_summary": echo}) as running:
            client: Any = await running.editor() if how == "editor" else await running.line()
            request = {"jsonrpc": "2.0", "id": 1, "method": "get_tokens", "params": TRACE}
            client.send([request, request | {"id": 2, "method": "get_summary"}] if how == "batch" else request)
            answer = await client.receive()
            if how == "batch":
                answer, other = answer
                assert other["result"] == TRACE
            assert error_of(answer) == (1, -32800, "CANCELLED")
            assert (await client.call("after", "get_summary", TRACE))["result"] == TRACE
            assert session_of(running).calls == {}

    run(test)
