"""Cancelling, once and again, at any moment: exactly one outcome, and the answer tells which it was."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from daemon.server.state import ServerState
from daemon.wire import outbox
from nanochat.trace_storage import TraceStorage
from tests.daemon.connections import TRACE, cancel, daemon, eventually, run
from tests.daemon.running import running_daemon
from tests.daemon.state_ground import DirectClient, running_hub
from tests.stress.wire_client import FRAMINGS, WireClient, frame

GENERATE = "generate_and_capture"
PROMPT = "The capital of France is"


def with_hub(folder: Path, test: Callable[[ServerState], Awaitable[None]]) -> list[dict[str, Any]]:
    """What escaped into the event loop: exceptions that nobody took, above all."""
    escaped: list[dict[str, Any]] = []

    async def inner() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: escaped.append(context))
        async with running_hub(folder) as state:
            await test(state)

    asyncio.run(inner())
    return escaped


class LoadedModel:
    """A function that stops after its work, or before it, until it is let go on."""

    def __init__(self, function: Callable[..., Any], *, after: bool):
        self.function, self.after = function, after
        self.loop, self.reached, self.goes_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self.function(*args, **kwargs) if self.after else None
        self.loop.call_soon_threadsafe(self.reached.set)
        self.goes_on.wait()
        return result if self.after else self.function(*args, **kwargs)


async def cancel_often(client: DirectClient, call: Any) -> None:
    for _ in range(5):
        client.session.cancel(call.request_id)
        await asyncio.sleep(0)


@pytest.mark.parametrize("after", [True, False], ids=["saved", "not yet saved"])
def test_a_generation_that_is_cancelled_again_and_again_says_whether_it_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    async def test(state: ServerState) -> None:
        client = DirectClient(state)
        held = LoadedModel(TraceStorage.create_trace, after=after)
        monkeypatch.setattr(TraceStorage, "create_trace", lambda *args, **kwargs: held(*args, **kwargs))
        call = client.begin(GENERATE, prompt=PROMPT, max_tokens=1)
        await held.reached.wait()
        await cancel_often(client, call)
        assert call.task is not None and not call.task.done()
        held.goes_on.set()
        saved = TraceStorage(tmp_path / "traces")
        if after:
            assert [(await client.answer(call))["trace_id"]] == saved.list_traces()
        else:
            assert (await client.refusal(call)).name == "CANCELLED"
            assert saved.list_traces() == []

    assert with_hub(tmp_path, test) == []


@pytest.mark.parametrize("after", [True, False], ids=["deleted", "not yet deleted"])
def test_a_trace_that_is_being_deleted_is_said_to_be_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    async def test(state: ServerState) -> None:
        client = DirectClient(state)
        trace_id = (await client.call(GENERATE, prompt=PROMPT, max_tokens=1))["trace_id"]
        held = LoadedModel(TraceStorage.delete_trace, after=after)
        monkeypatch.setattr(TraceStorage, "delete_trace", lambda *args: held(*args))
        call = client.begin("delete_trace", trace_id=trace_id)
        await held.reached.wait()
        await cancel_often(client, call)
        held.goes_on.set()
        assert await client.answer(call) == {"deleted": trace_id}

    assert with_hub(tmp_path, test) == []


def test_a_client_that_goes_while_its_trace_is_saved_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(state: ServerState) -> None:
        client, other = DirectClient(state), DirectClient(state)
        held = LoadedModel(TraceStorage.create_trace, after=False)
        with monkeypatch.context() as patch:
            patch.setattr(TraceStorage, "create_trace", lambda *args, **kwargs: held(*args, **kwargs))
            call = client.begin(GENERATE, prompt=PROMPT, max_tokens=1)
            await held.reached.wait()
        client.session.cancel(call.request_id or 0)
        state.leave(client.session)
        client.session.cancel_all()
        held.goes_on.set()
        assert (await client.refusal(call)).name == "CANCELLED"
        trace_id = (await other.call(GENERATE, prompt=PROMPT, max_tokens=1))["trace_id"]
        assert TraceStorage(tmp_path / "traces").list_traces() == [trace_id]
        assert client.session.calls == {}

    assert with_hub(tmp_path, test) == []


@pytest.mark.parametrize("framing", FRAMINGS)
def test_an_answer_that_waits_for_its_client_to_read_is_not_lost_to_a_cancel(
    framing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "HIGH_WATER", 1000)
    done: list[object] = []

    async def large(context: Any, params: Any) -> object:
        done.append(params)
        return "x" * 5_000_000

    async def test() -> None:
        async with daemon({"get_summary": large, "cancel": cancel}) as running:
            client = await running.editor() if framing == "editor" else await running.line()
            client.writer.transport.pause_reading()  # pyright: ignore[reportAttributeAccessIssue]
            for number in range(8):
                client.request(number, "get_summary", TRACE)
            await eventually(lambda: len(done) == 8)
            await running.quiet()
            for again, number in enumerate((7, 7, 6, 6)):
                if framing == "editor":
                    client.notify("$/cancelRequest", {"id": number})
                else:
                    client.request(f"cancel {again}", "cancel", {"id": number})
            await running.quiet()
            client.writer.transport.resume_reading()  # pyright: ignore[reportAttributeAccessIssue]
            answers: dict[Any, Any] = {}
            while len([key for key in answers if isinstance(key, int)]) < 8:
                answer = await client.receive()
                answers[answer["id"]] = answer
            assert all("result" in answers[number] for number in range(8))

    run(test)


ROUNDS = 24


@pytest.mark.parametrize("framing", FRAMINGS)
def test_many_that_are_cancelled_twice_at_any_moment(framing: str) -> None:
    """Each trace that is there was answered, each that was answered is there, and the log has no traceback."""
    with running_daemon() as process, WireClient(process.connect(), framing) as client:
        client.introduce("twice")
        client.call(GENERATE, {"prompt": "ready", "max_tokens": 1})
        saved, refused = 1, 0
        for number in range(ROUNDS):
            client.notifications.clear()
            params = {"prompt": "x " * 100, "max_tokens": 3, "capture": {"logits": "all"}, "stream": True}
            client.send(GENERATE, params, request_id=f"twice {number}")
            for _ in range(number % 4):  # the later ones while it is analysed and saved
                client.notification("generation_progress")
            for _ in range(number // 4 * 3):
                client.call("get_status")
            if framing == "editor":
                again = frame(
                    framing, {"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": f"twice {number}"}}
                )
                client.write(again + again)
            else:
                client.send("cancel", {"id": f"twice {number}"})
                client.send("cancel", {"id": f"twice {number}"})
            answer = client.answer(f"twice {number}")
            saved += "result" in answer
            refused += answer.get("error", {}).get("data", {}).get("name") == "CANCELLED"
            assert client.call("list_traces")["total"] == saved
        assert saved + refused == ROUNDS + 1
        assert "Traceback" not in process.settings.log_file.read_text()
