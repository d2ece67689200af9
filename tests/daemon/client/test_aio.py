"""The client for asyncio, against the same daemons."""

import asyncio
from collections.abc import Iterator

import numpy as np
import psutil
import pytest

from daemon.client.aio import AsyncClient, AsyncNotifications, ConnectionLostError
from daemon.client.sync import Client
from protocol import methods
from protocol.errors import RpcError
from protocol.types import GenerationProgress, Intervention
from tests.daemon.running import DaemonProcess, running_daemon
from tests.daemon.scripted_daemon import NO_TRACES, ScriptedDaemon, error, hang_up, result

LONG = {"max_tokens": 240, "temperature": 100.0, "top_k": 0, "seed": 1}  # nearly any token, and never the last
PROMPT = "The capital of France is"
SECONDS = 8


@pytest.fixture(scope="module")
def shared() -> Iterator[DaemonProcess]:
    """One daemon for the tests that leave it as it is."""
    with running_daemon() as process:
        yield process


async def listen_on(changes: AsyncNotifications) -> None:
    """Until there is nothing more to hear."""
    async for _ in changes:
        pass


def test_many_at_once_each_get_their_own(shared: DaemonProcess) -> None:
    async def run() -> None:
        async with AsyncClient(shared.settings, name="loop") as client:
            prompts = [f"Number {number} is" for number in range(4)]
            made = await asyncio.gather(*(client.generate_and_capture(prompt, max_tokens=2) for prompt in prompts))
            assert [row.prompt for row in made] == prompts
            ids = [row.trace_id for row in made]
            tokens = await asyncio.gather(*(client.get_tokens(trace_id=trace_id) for trace_id in ids * 10))
            assert [row.trace_id for row in tokens] == ids * 10
            head = await client.tensor(ids[0], "attention_weights", layer=0, head=0)
            assert np.allclose(head.sum(axis=1), 1)
            names = [row.name for row in (await client.get_status()).sessions]
            assert "loop" in names

    asyncio.run(run())


def test_what_is_made_from_a_trace_comes_token_by_token_too(shared: DaemonProcess) -> None:
    off = Intervention(op="zero", site="post_mlp", layer=3)

    async def run() -> None:
        async with AsyncClient(shared.settings) as client:
            parent = await client.generate_and_capture(PROMPT, max_tokens=4, temperature=0)
            position, fork, change = parent.prompt_tokens, [], []
            made = await asyncio.gather(
                client.fork_trace(parent.trace_id, position, token=" N", on_token=fork.append),
                client.intervene(parent.trace_id, [off], on_token=change.append),
            )
            for child, tokens in zip(made, (fork, change), strict=True):
                assert (child.parent, child.position) == (parent.trace_id, position)
                assert child.response == "".join(token.text for token in tokens) != parent.response

    asyncio.run(run())


def test_tokens_come_as_they_are_written_and_a_stream_is_cancelled(shared: DaemonProcess) -> None:
    async def run() -> None:
        async with AsyncClient(shared.settings) as client:
            texts: list[str] = []
            made = await client.generate_and_capture(
                PROMPT, max_tokens=4, on_token=lambda token: texts.append(token.text), on_progress=lambda _: None
            )
            assert "".join(texts) == made.response
            call = await client.stream(PROMPT, **LONG)
            async for event in call:
                if isinstance(event, GenerationProgress):
                    call.cancel()
                    break
            with pytest.raises(RpcError) as caught:
                await call.result(SECONDS)
            assert caught.value.name == "CANCELLED"

    asyncio.run(run())


def test_a_cancelled_task_stops_its_generation(shared: DaemonProcess) -> None:
    async def run() -> None:
        async with AsyncClient(shared.settings) as client:
            begun, before = asyncio.Event(), (await client.list_traces()).total
            task = asyncio.create_task(client.generate_and_capture(PROMPT, on_token=lambda _: begun.set(), **LONG))
            await asyncio.wait_for(begun.wait(), SECONDS)
            changes = client.notifications("status_changed")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with asyncio.timeout(SECONDS):
                async for notice in changes:
                    if not notice.params.queue.running:
                        break
            with pytest.raises(TimeoutError, match="was not answered within 0 s"):
                await client.generate_and_capture(PROMPT, timeout=0, **LONG)
            async with asyncio.timeout(SECONDS):
                while (await client.get_status()).queue.running:
                    await anext(changes)
            assert (await client.list_traces()).total == before

    asyncio.run(run())


def test_notifications_and_their_end(shared: DaemonProcess) -> None:
    async def run() -> None:
        async with AsyncClient(shared.settings) as client:
            changes = client.notifications("traces_changed")
            heard: asyncio.Queue[str] = asyncio.Queue()
            stop = client.on_notification(lambda notice: heard.put_nowait(notice.name))
            made = await client.generate_and_capture(PROMPT, max_tokens=1)
            async with asyncio.timeout(SECONDS):
                async for notice in changes:
                    if made.trace_id in notice.params.added:
                        break
                while await heard.get() != "traces_changed":
                    pass
            stop()
        assert [notice async for notice in changes if made.trace_id in notice.params.added] == []
        with pytest.raises(ConnectionLostError, match="closed"):
            await client.get_status()

    asyncio.run(run())


def test_a_daemon_that_was_killed_is_started_again(daemon_process: DaemonProcess) -> None:
    async def run() -> None:
        async with AsyncClient(daemon_process.settings) as client:
            changes = client.notifications()
            call = await client.stream(PROMPT, **LONG)
            async for _ in call:
                break
            psutil.Process(daemon_process.pid).kill()
            with pytest.raises(ConnectionLostError, match="generate_and_capture"):
                await call.result(SECONDS)
            with pytest.raises(ConnectionLostError):
                await asyncio.wait_for(listen_on(changes), SECONDS)
            assert (await client.list_traces()).total == 0
            assert client.greeting.pid != daemon_process.pid

    asyncio.run(run())


def test_a_read_is_repeated_where_a_generation_is_not() -> None:
    daemon = ScriptedDaemon([hang_up], [result(NO_TRACES), hang_up], [error("SHUTTING_DOWN", -31018)], [hang_up])

    async def run() -> None:
        async with AsyncClient(connect=daemon.connect) as client:
            assert (await client.list_traces()).total == 0
            with pytest.raises(ConnectionLostError, match="generate_and_capture"):
                await client.generate_and_capture(PROMPT)
            with pytest.raises(ConnectionLostError, match="generate_and_capture"):
                await client.generate_and_capture(PROMPT)  # SHUTTING_DOWN: on to the next daemon, which goes away

    asyncio.run(run())
    daemon.join()
    assert [asked[1:] for asked in daemon.requests] == [
        ["list_traces"],
        ["list_traces", "generate_and_capture"],
        ["generate_and_capture"],
        ["generate_and_capture"],
    ]


def test_both_clients_have_the_same_calls() -> None:
    for name in (*methods.METHODS, "tensor", "stream", "call", "start", "notifications", "on_notification"):
        name = name.removeprefix("rpc.")
        assert hasattr(Client, name) == hasattr(AsyncClient, name), name
