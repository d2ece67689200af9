"""Progress under the editor's token: begin, reports, end, and cancelling by it."""

import asyncio
from typing import Any

import pytest

from tests.daemon.connections import TRACE, Gate, daemon, error_of, run


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
            assert error_of(answer) == (1, -32800, "CANCELLED")
            assert gate.cancelled == 1

    run(test)
