"""Generating through the daemon: what the library gives, streamed, in turn, cancelled; and switching models."""

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.server.state import ServerState
from nanochat.checkpoint_manager import load_model
from nanochat.interpretability_engine import InterpretabilityEngine
from nanochat.trace_storage import TraceStorage
from tests.checkpoints import write_flat
from tests.daemon.state_ground import DirectClient, running_hub
from tests.models import GOLDEN

PROMPT = "The capital of France is"
GENERATE = "generate_and_capture"


@pytest.fixture
def base_dir(tmp_path: Path) -> Path:
    return tmp_path / "nanochat"


def with_hub(folder: Path, test: Callable[[ServerState], Awaitable[None]], **settings: Any) -> None:
    async def run() -> None:
        async with running_hub(folder, **settings) as state:
            await test(state)

    asyncio.run(run())


def storage(folder: Path) -> TraceStorage:
    return TraceStorage(folder / "traces")


def document_of(folder: Path, trace_id: str) -> dict[str, Any]:
    """A trace without what differs from run to run."""
    document = storage(folder).load_trace(trace_id)
    for name in ("trace_id", "timestamp"):
        del document[name]
    del document["generation"]["timings"]
    return document


CAPTURE = {"layers": [0, 2], "sites": ["q", "attention_weights"], "logits": 7, "dtype": "float16"}


@pytest.mark.parametrize(
    "params",
    [
        {"prompt": PROMPT, "max_tokens": 9},
        {"prompt": PROMPT, "max_tokens": 5, "temperature": 1.3, "top_k": None, "seed": 7, "stream": True},
        {"prompt": PROMPT, "max_tokens": 0, "category": "capitals", "metadata": {"try": [1, None, "é"]}},
        {"prompt": PROMPT, "max_tokens": 2, "capture": CAPTURE, "format": "safetensors", "top_k": 0},
        {"prompt": PROMPT, "max_tokens": 2, "capture": {"logits": None}, "capture_intermediate_steps": True},
        {"messages": [{"role": "user", "content": "Who are you?"}], "max_tokens": 6},
    ],
)
def test_it_is_what_the_library_gives(tmp_path: Path, params: dict[str, Any]) -> None:
    model, tokenizer, _ = load_model("demo", "cpu", "eval")
    engine = InterpretabilityEngine(model, tokenizer, TraceStorage(tmp_path / "library" / "traces"))
    expected = engine.generate_and_capture(**{key: value for key, value in params.items() if key != "stream"})

    async def test(state: ServerState) -> None:
        result = await DirectClient(state).call(GENERATE, **params)
        for key in ("prompt", "response", "prompt_tokens", "response_tokens", "metadata"):
            assert result[key] == expected[key]
        assert result["path"] == str(storage(tmp_path).path_of(result["trace_id"]))
        assert Path(result["path"]).suffix == Path(expected["path"]).suffix
        assert result["summary"].keys() == expected["summary"].keys()
        assert result["summary"]["data_info"] == expected["summary"]["data_info"]
        assert result["timings"].keys() == expected["timings"].keys()
        assert document_of(tmp_path, result["trace_id"]) == document_of(tmp_path / "library", expected["trace_id"])

    with_hub(tmp_path, test)


def test_every_token_is_told_to_the_caller_that_streams_and_to_nobody_else(tmp_path: Path) -> None:
    async def test(state: ServerState) -> None:
        client, quiet = DirectClient(state), DirectClient(state)
        await quiet.call(GENERATE, prompt="Hello", max_tokens=3)
        call = client.begin(GENERATE, prompt=PROMPT, max_tokens=12, stream=True)
        result = await client.answer(call)
        told = client.notifications("generation_progress")
        document = storage(tmp_path).load_trace(result["trace_id"])
        assert {event["request"] for event in told} == {call.request_id}
        assert [event["token"] for event in told] == document["tokens"]["output_tokens"]
        assert [event["position"] for event in told] == [result["prompt_tokens"] + i for i in range(len(told))]
        assert "".join(event["text"] for event in told) == result["response"]
        logits = document["analysis"]["logits"]
        assert np.allclose([event["surprisal"] for event in told], logits["surprisal_per_token"])
        for event, top in zip(told, logits["top_tokens_per_position"], strict=True):
            assert [row["token"] for row in event["top"]] == [row["token"] for row in top]
            assert [row["text"] for row in event["top"]] == [row["text"] for row in top]
        assert client.told[-1]["method"] != "generation_progress" or client.told[-1]["params"] == told[-1]
        for name in ("generation_progress", "request_progress"):
            assert quiet.notifications(name) == []

    with_hub(tmp_path, test)


def test_streamed_text_is_the_response_where_tokens_are_bytes(tmp_path: Path) -> None:
    async def test(state: ServerState) -> None:
        client, halves = DirectClient(state), 0
        for seed in range(4):
            client.told.clear()
            result = await client.call(
                GENERATE, prompt="ä", max_tokens=25, temperature=3.0, top_k=0, seed=seed, stream=True
            )
            texts = [event["text"] for event in client.notifications("generation_progress")]
            assert "".join(texts) == result["response"]
            halves += texts.count("")
        assert halves > 0

    with_hub(tmp_path, test, source=str(GOLDEN / "F" / "gqa_windowed"))


def test_a_large_trace_is_told_before_its_first_token_and_in_the_result(tmp_path: Path) -> None:
    async def test(state: ServerState) -> None:
        client, quiet = DirectClient(state), DirectClient(state)
        result = await client.call(GENERATE, prompt=PROMPT, max_tokens=2000, temperature=0, stream=True)
        (said,) = result["notices"]
        assert said.startswith("The trace takes up to ") and "as safetensors" in said
        names = [(message["method"], message["params"].get("notice", "")) for message in client.told]
        assert names.index(("request_progress", said)) < names.index(("generation_progress", ""))
        assert (await quiet.call(GENERATE, prompt=PROMPT, max_tokens=2000, temperature=0))["notices"] == [said]
        assert (await quiet.call(GENERATE, prompt=PROMPT, max_tokens=20, temperature=0))["notices"] == []

    with_hub(tmp_path, test)


def test_the_caller_is_told_where_its_request_stands(tmp_path: Path) -> None:
    async def test(state: ServerState) -> None:
        client, other = DirectClient(state), DirectClient(state)
        first = client.begin(GENERATE, prompt=PROMPT, max_tokens=200, stream=True)
        await client.until(lambda: client.notifications("generation_progress"))
        second = other.begin(GENERATE, prompt=PROMPT, max_tokens=1, stream=True)
        await other.until(lambda: other.notifications("request_progress"))
        client.session.cancel(first.request_id or 0)
        await other.answer(second)
        states = [(told["state"], told["ahead"]) for told in client.notifications("request_progress")]
        assert states == [("loading", 1), ("running", 0)]
        told = other.notifications("request_progress")
        assert [(one["state"], one["ahead"]) for one in told] == [("queued", 1), ("running", 0)]
        assert {one["request"] for one in told} == {second.request_id}
        assert all(one["message"] for one in told)
        assert [message for message, _ in other.reports][:2] == [one["message"] for one in told]

    with_hub(tmp_path, test)


def test_progress_has_a_rate_and_a_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.handlers.generation_progress.RATE_SECONDS", 0.0)

    async def test(state: ServerState) -> None:
        client = DirectClient(state)
        result = await client.call(GENERATE, prompt=PROMPT, max_tokens=4, temperature=0)
        messages = [report for report in client.reports if report[1] is not None]
        assert len(messages) == result["response_tokens"]
        assert re.fullmatch(r"2 tokens, [0-9.]+ a second: (.+)", messages[1][0])
        assert messages[-1][0].partition(" a second: ")[2] == " ".join(result["response"].split())
        assert messages[1][1] == 50

    with_hub(tmp_path, test)


def test_a_running_generation_is_cancelled_and_leaves_nothing(tmp_path: Path) -> None:
    async def test(state: ServerState) -> None:
        client, other = DirectClient(state), DirectClient(state)
        call = client.begin(GENERATE, prompt=PROMPT, max_tokens=2000, temperature=3, stream=True)
        await client.until(lambda: len(client.notifications("generation_progress")) > 2)
        assert await other.call("cancel", id=call.request_id) == {"cancelled": False}  # not its own
        assert await client.call("cancel", id=call.request_id) == {"cancelled": True}
        assert (await client.refusal(call)).name == "CANCELLED"
        assert storage(tmp_path).list_traces() == []
        count = len(client.told)
        assert (await other.call(GENERATE, prompt=PROMPT, max_tokens=1))["response_tokens"] == 1
        assert len(client.notifications("generation_progress")) <= count
        await assert_free(state)

    with_hub(tmp_path, test)


def test_a_waiting_generation_is_cancelled_at_once(tmp_path: Path) -> None:
    async def test(state: ServerState) -> None:
        client = DirectClient(state)
        gate = await busy(state)
        call = client.begin(GENERATE, prompt=PROMPT)
        await asyncio.sleep(0)
        assert state.worker.queued() == 2  # and the load
        client.session.cancel(call.request_id or 0)
        assert (await client.refusal(call)).name == "CANCELLED"  # while the other still runs
        assert state.worker.queued() == 1
        gate.set()

    with_hub(tmp_path, test)


def test_a_cancel_that_comes_when_the_trace_is_saved_is_too_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(state: ServerState) -> None:
        client = DirectClient(state)
        loop, saved, goes_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
        save = TraceStorage.create_trace

        def slow(*args: Any, **kwargs: Any) -> str:
            trace_id = save(*args, **kwargs)
            loop.call_soon_threadsafe(saved.set)
            goes_on.wait()
            return trace_id

        monkeypatch.setattr(TraceStorage, "create_trace", slow)
        call = client.begin(GENERATE, prompt=PROMPT, max_tokens=1)
        await saved.wait()
        client.session.cancel(call.request_id or 0)
        goes_on.set()
        assert (await client.answer(call))["trace_id"] in storage(tmp_path).list_traces()

    with_hub(tmp_path, test)


def test_a_vanished_clients_work_ends_and_the_others_is_done(tmp_path: Path) -> None:
    async def test(state: ServerState) -> None:
        gone, here = DirectClient(state), DirectClient(state)
        running = gone.begin(GENERATE, prompt=PROMPT, max_tokens=2000, temperature=3, stream=True)
        await gone.until(lambda: gone.notifications("generation_progress"))
        waiting = [gone.begin(GENERATE, prompt=PROMPT, max_tokens=2000) for _ in range(3)]
        served = here.begin(GENERATE, prompt=PROMPT, max_tokens=1)
        await asyncio.sleep(0)
        state.leave(gone.session)
        for call in [running, *waiting]:
            assert (await gone.refusal(call)).name == "CANCELLED"
        trace_id = (await here.answer(served))["trace_id"]
        assert storage(tmp_path).list_traces() == [trace_id]
        assert not gone.session.calls
        await assert_free(state)

    with_hub(tmp_path, test)


async def busy(state: ServerState) -> threading.Event:
    """Occupy the model thread until the event is set."""
    gate, started = threading.Event(), threading.Event()
    state.worker.submit("busy", lambda _: (started.set(), gate.wait()), threading.Event())
    await asyncio.to_thread(started.wait)
    return gate


async def assert_free(state: ServerState) -> None:
    """The model holds no capture, and nothing runs or waits."""
    job = state.worker.submit("test", lambda _: state.model.held().model.tap, threading.Event())
    assert await asyncio.wrap_future(job) is None
    assert not state.worker.queued()


def test_captures_are_let_go_of_after_each_generation(tmp_path: Path) -> None:
    async def test(state: ServerState) -> None:
        client = DirectClient(state)
        await client.call(GENERATE, prompt=PROMPT, max_tokens=1)
        await assert_free(state)
        assert (await client.refusal(client.begin(GENERATE, prompt=PROMPT, capture={"layers": [99]}))).name
        await assert_free(state)

    with_hub(tmp_path, test)


def test_more_than_may_wait_are_refused(tmp_path: Path) -> None:
    async def test(state: ServerState) -> None:
        clients = [DirectClient(state) for _ in range(4)]
        gate = await busy(state)
        calls = [client.begin(GENERATE, prompt=PROMPT, max_tokens=1) for client in clients]
        error = await clients[-1].refusal(calls[-1])
        assert error.name == "QUEUE_FULL" and error.data["limit"] == 3
        gate.set()
        for client, call in zip(clients[:-1], calls[:-1], strict=True):
            await client.answer(call)

    with_hub(tmp_path, test, queue_limit=3)


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({}, "PROMPT_INVALID"),
        ({"prompt": "a", "messages": [{"role": "user", "content": "b"}]}, "PROMPT_INVALID"),
        ({"prompt": "a", "category": "two\nlines"}, "CATEGORY_INVALID"),
        ({"prompt": "a", "max_tokens": 1 << 40}, "SETTING_INVALID"),
        ({"prompt": "a", "seed": -1}, "INVALID_PARAMS"),
        ({"prompt": "a", "max_tokens": 2.5}, "INVALID_PARAMS"),
        ({"prompt": 7}, "INVALID_PARAMS"),
        ({"prompt": "a", "top_p": 0.9}, "INVALID_PARAMS"),
    ],
)
def test_bad_input_is_refused_before_it_waits_for_the_model(tmp_path: Path, params: dict[str, Any], name: str) -> None:
    async def test(state: ServerState) -> None:
        client = DirectClient(state)
        error = await client.refusal(client.begin(GENERATE, **params))
        assert error.name == name
        assert state.model.describe().state == "unloaded"

    with_hub(tmp_path, test)


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"prompt": ""}, "PROMPT_INVALID"),
        ({"prompt": "word " * 3000}, "PROMPT_TOO_LONG"),
        ({"messages": [{"role": "assistant", "content": "b"}]}, "PROMPT_INVALID"),
        ({"prompt": "a", "capture": {"sites": ["nowhere"]}}, "SETTING_INVALID"),
        ({"prompt": "a", "capture": {"layers": [99]}}, "SETTING_INVALID"),
        ({"prompt": "a", "capture": {"logits": 0}}, "SETTING_INVALID"),
    ],
)
def test_what_the_model_refuses_keeps_its_name(tmp_path: Path, params: dict[str, Any], name: str) -> None:
    async def test(state: ServerState) -> None:
        client = DirectClient(state)
        error = await client.refusal(client.begin(GENERATE, **params))
        assert error.name == name
        assert (await client.call(GENERATE, prompt=PROMPT, max_tokens=1))["response_tokens"] == 1

    with_hub(tmp_path, test)


def test_a_folder_that_is_none_is_told_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "traces").write_text("in the way")

    async def test(state: ServerState) -> None:
        client = DirectClient(state)
        error = await client.refusal(client.begin(GENERATE, prompt=PROMPT, stream=True))
        assert error.name == "STORAGE_FAILED"
        assert client.notifications("generation_progress") == []

    with_hub(tmp_path, test)


def test_a_model_that_cannot_be_loaded_is_told_to_all_who_wait_for_it(tmp_path: Path) -> None:
    folder = tmp_path / "mine"

    async def test(state: ServerState) -> None:
        clients = [DirectClient(state) for _ in range(3)]
        calls = [client.begin(GENERATE, prompt="ä", max_tokens=1) for client in clients]
        for client, call in zip(clients, calls, strict=True):
            assert (await client.refusal(call)).name == "MODEL_NOT_LOADED"
        write_flat(folder)
        assert (await clients[0].call(GENERATE, prompt="ä", max_tokens=1))["response_tokens"] == 1

    with_hub(tmp_path, test, source=str(folder))


def test_each_session_writes_to_its_own_folder(tmp_path: Path) -> None:
    async def test(state: ServerState) -> None:
        client = DirectClient(state)
        await state.use_folder(client.session, tmp_path / "own")
        result = await client.call(GENERATE, prompt=PROMPT, max_tokens=1)
        assert Path(result["path"]).parent == tmp_path / "own"

    with_hub(tmp_path, test)


def test_another_model_is_loaded_for_all(tmp_path: Path) -> None:
    write_flat(tmp_path / "mine", 30)

    async def test(state: ServerState) -> None:
        client, other = DirectClient(state), DirectClient(state)
        await client.call(GENERATE, prompt=PROMPT, max_tokens=1)
        other.told.clear()
        loaded = await client.call("load_model", source=str(tmp_path / "mine"), step=30, dtype="bfloat16", device="cpu")
        model = loaded["model"]
        assert (model["state"], model["step"], model["dtype"]) == ("ready", 30, "bfloat16")
        assert (await client.call("get_status"))["model"] == model
        await other.until(lambda: len(other.notifications("model_changed")) == 2)
        assert [told["model"]["state"] for told in other.notifications("model_changed")] == ["loading", "ready"]
        result = await other.call(GENERATE, prompt="ä", max_tokens=1)
        assert result["summary"]["model"]["step"] == 30

    with_hub(tmp_path, test)


def test_a_model_that_does_not_load_leaves_the_one_held(tmp_path: Path) -> None:
    weights = write_flat(tmp_path / "mine")
    weights.write_bytes(weights.read_bytes()[:1000])

    async def test(state: ServerState) -> None:
        client = DirectClient(state)
        for source, name in ((str(tmp_path / "mine"), "CHECKPOINT_INVALID"), ("sft", "MODEL_NOT_LOADED")):
            assert (await client.refusal(client.begin("load_model", source=source))).name == name
        result = await client.call(GENERATE, prompt=PROMPT, max_tokens=1)
        assert result["summary"]["model"]["source"] == "demo"

    with_hub(tmp_path, test)


def test_models_are_listed(tmp_path: Path, base_dir: Path) -> None:
    write_flat(base_dir / "chatsft_checkpoints" / "d4", 10)
    write_flat(base_dir / "chatsft_checkpoints" / "d4", 20)

    async def test(state: ServerState) -> None:
        client = DirectClient(state)
        listed = await client.call("list_models")
        assert listed["base_dir"] == str(base_dir)
        assert listed["current"]["state"] == "unloaded"
        assert listed["models"][0] == {
            "source": "sft",
            "tag": "d4",
            "steps": [10, 20],
            "path": str(base_dir / "chatsft_checkpoints" / "d4"),
        }
        for model in listed["models"]:
            params = {"source": model["source"], "tag": model["tag"], "step": model["steps"][0]}
            loaded = (await client.call("load_model", **params))["model"]
            assert Path(loaded["path"]).parent == Path(model["path"])

    with_hub(tmp_path, test)


def test_models_are_listed_without_torch(tmp_path: Path) -> None:
    program = (
        "import asyncio, pathlib, sys\n"
        "from tests.daemon.state_ground import DirectClient, running_hub\n"
        "async def main():\n"
        "    async with running_hub(pathlib.Path(sys.argv[1])) as state:\n"
        "        await DirectClient(state).call('list_models')\n"
        "        await DirectClient(state).call('get_status')\n"
        "        assert 'torch' not in sys.modules\n"
        "asyncio.run(main())\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (finished.returncode, finished.stderr) == (0, "")
