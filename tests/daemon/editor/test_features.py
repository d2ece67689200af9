"""What editors ask about documents has the limits of every other request."""

import asyncio
from collections.abc import Callable
from typing import Any
from unittest import mock

from lsprotocol import types as lsp

from daemon.editor import connection
from daemon.editor.features import FEATURES
from tests.daemon.connections import TRACE, Editor, Gate, daemon, echo, error_of, run, session_of

HOVER = {"textDocument": {"uri": "file:///a"}, "position": {"line": 0, "character": 0}}


def hovering(answer: Callable[..., Any]) -> Any:
    """Another function in the place of the one that answers hovers."""

    async def hover(documents: Any, params: Any) -> Any:
        return await answer(documents, mock.Mock(trace_id="a"))

    return mock.patch.dict(FEATURES, {lsp.TEXT_DOCUMENT_HOVER: (hover, None)})


def test_hovers_are_requests_in_flight() -> None:
    gate = Gate()

    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            client, other = await running.editor(), await running.editor()
            count = connection.IN_FLIGHT_LIMIT * 3
            for number in range(count):
                client.request(number, lsp.TEXT_DOCUMENT_HOVER, HOVER)
            await gate.until(running=connection.IN_FLIGHT_LIMIT)
            assert (await other.call(1, "get_summary", TRACE))["result"] == TRACE
            await running.quiet()
            assert gate.running == connection.IN_FLIGHT_LIMIT
            gate.opened.set()
            assert {(await client.receive())["id"] for _ in range(count)} == set(range(count))

    with hovering(gate):
        run(test)


def test_a_hover_is_cancelled_and_its_id_is_free_again() -> None:
    gate = Gate()

    async def test() -> None:
        async with daemon({"get_summary": echo}) as running:
            client = await running.editor()
            client.request(1, lsp.TEXT_DOCUMENT_HOVER, HOVER)
            await gate.until(running=1)
            client.notify("$/cancelRequest", {"id": 1})
            assert error_of(await client.receive()) == (1, -32800, "CANCELLED")
            await gate.until(cancelled=1)
            assert session_of(running).calls == {}
            assert (await client.call(1, "get_summary", TRACE))["result"] == TRACE

    with hovering(gate):
        run(test)


def test_answers_to_hovers_wait_for_an_editor_that_reads_late() -> None:
    size, count = 2_000_000, 30  # more than may wait for a client

    async def test() -> None:
        async with daemon({}) as running:
            client: Editor = await running.editor()
            client.writer.transport.pause_reading()  # pyright: ignore[reportAttributeAccessIssue]
            for number in range(count):
                client.request(number, lsp.TEXT_DOCUMENT_HOVER, HOVER)
            await running.quiet()
            client.writer.transport.resume_reading()  # pyright: ignore[reportAttributeAccessIssue]
            for _ in range(count):
                assert len((await client.receive())["result"]) == size

    with hovering(lambda documents, params: asyncio.sleep(0, "x" * size)):
        run(test)
