"""The Python client against real daemons, and against one that goes away in the worst moment."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from daemon.client.aio import AsyncClient
from daemon.client.base import ForkOptions, GenerationOptions, InterveneOptions, TensorOptions
from daemon.client.connection import Interrupted
from daemon.client.sync import Client, ConnectionLostError
from nanochat.analysis import all_metrics
from nanochat.trace_storage import TraceStorage
from protocol import methods
from protocol.errors import RpcError
from protocol.types import (
    ForkTraceParams,
    GenerateAndCaptureParams,
    GenerationProgress,
    GetTensorParams,
    InterveneParams,
    Intervention,
    RequestProgress,
)
from tests.daemon.running import DaemonProcess, environment_set_to, private_settings, running_daemon
from tests.daemon.scripted_daemon import NO_TRACES, ScriptedDaemon, error, hang_up, line, result
from tests.daemon.waiting import Notes, until

LONG = {"max_tokens": 240, "temperature": 100.0, "top_k": 0, "seed": 1}  # nearly any token, and never the last
PROMPT = "The capital of France is"


@pytest.fixture(scope="module")
def shared() -> Iterator[DaemonProcess]:
    """One daemon for the tests that leave it as it is."""
    with running_daemon() as process:
        yield process


@pytest.fixture
def client(shared: DaemonProcess) -> Iterator[Client]:
    with Client(shared.settings) as client:
        yield client


def test_a_generation_streams_and_its_trace_is_read_back(client: Client) -> None:
    tokens: list[GenerationProgress] = []
    stages: list[RequestProgress] = []
    made = client.generate_and_capture(
        PROMPT, category="geography", max_tokens=4, on_token=tokens.append, on_progress=stages.append
    )
    assert made.response == " Paris."[: len(made.response)] == "".join(token.text for token in tokens)
    assert len(tokens) == made.response_tokens == 4
    assert stages[-1].state == "running"
    with TraceStorage(Path(made.path).parent).open_trace(made.trace_id) as trace:
        assert client.get_summary(trace_id=made.trace_id).data_info.tensors.keys() == set(trace.names())
        head = client.tensor(made.trace_id, "attention_weights", layer=1, head=2)
        assert np.array_equal(head, trace.attention(1, 2))
        part = client.tensor(made.trace_id, "attention_weights", layer=1, head=2, rows=(1, 3), dtype="float16")
        assert np.array_equal(part, trace.attention(1, 2)[1:3].astype(np.float16))
        assert client.analyze_trace(trace_id=made.trace_id).analysis.logits == trace.document["analysis"]["logits"]
    texts = [row.text for row in client.get_tokens(trace_id=made.trace_id).tokens]
    assert "".join(texts[1:]) == PROMPT + made.response
    assert [row.trace_id for row in client.list_traces(category="geography").traces] == [made.trace_id]
    assert client.delete_trace(trace_id=made.trace_id).deleted == made.trace_id
    with pytest.raises(RpcError, match=made.trace_id) as caught:
        client.get_summary(trace_id=made.trace_id)
    assert caught.value.name == "TRACE_NOT_FOUND"


def test_a_trace_is_run_again_without_a_part_of_the_model(client: Client) -> None:
    off = Intervention(op="zero", site="post_mlp", layer=3, positions=[[7, 9]])
    parent = client.generate_and_capture(PROMPT, max_tokens=4, temperature=0)
    tokens: list[GenerationProgress] = []
    child = client.intervene(parent.trace_id, [off], on_token=tokens.append)
    assert (child.parent, child.touched) == (parent.trace_id, [2])
    assert child.response == "".join(token.text for token in tokens) != parent.response
    assert child.position == parent.prompt_tokens
    again = client.generate_and_capture(PROMPT, max_tokens=4, temperature=0, interventions=[off])
    assert (again.response, again.parent) == (child.response, None)
    with pytest.raises(RpcError, match="resid_pre") as caught:
        client.intervene(parent.trace_id, [Intervention(op="zero", site="resid_pre", layer=3)])
    assert caught.value.name == "SETTING_INVALID"
    for trace in (parent, child, again):
        client.delete_trace(trace_id=trace.trace_id)


def test_a_text_goes_on_from_another_token(client: Client) -> None:
    parent = client.generate_and_capture(PROMPT, max_tokens=4, temperature=0)
    tokens: list[GenerationProgress] = []
    child = client.fork_trace(parent.trace_id, parent.prompt_tokens, token=" N", on_token=tokens.append)
    assert (child.parent, child.position) == (parent.trace_id, parent.prompt_tokens)
    assert [token.forced for token in tokens] == [True] + [False] * (len(tokens) - 1)
    assert child.response == "".join(token.text for token in tokens) != parent.response
    for trace in (parent, child):
        client.delete_trace(trace_id=trace.trace_id)


def test_a_tensor_too_large_for_a_message_comes_in_pieces(daemon_process: DaemonProcess, tmp_path: Path) -> None:
    weights = np.random.default_rng(0).random((1, 2, 1500, 1500), np.float32)
    trace_id = TraceStorage(tmp_path, format="safetensors").create_trace(
        {"prompt": "", "response": ""}, {"attention_weights.layer_0": weights}
    )
    with Client(daemon_process.settings, traces_dir=tmp_path) as client:
        assert np.array_equal(client.tensor(trace_id, "attention_weights.layer_0"), weights)
        part = client.tensor(trace_id, "attention_weights", layer=0, rows=(10, 1490))
        assert np.array_equal(part, weights[:, :, 10:1490])
        with pytest.raises(RpcError, match="Ask for less"):
            client.get_tensor(trace_id=trace_id, name="attention_weights.layer_0", encoding="base64")


def test_without_listeners_nothing_is_streamed(client: Client) -> None:
    told = []
    client.on_notification(told.append)
    call = client.start(methods.GENERATE_AND_CAPTURE, GenerateAndCaptureParams(prompt=PROMPT, max_tokens=2))
    assert list(call) == []
    assert call.result().response_tokens == 2


def test_the_daemon_knows_its_client(shared: DaemonProcess, tmp_path: Path) -> None:
    with Client(shared.settings, name="notebook", traces_dir=tmp_path) as client:
        (session,) = [row for row in client.get_status().sessions if row.session == client.greeting.session]
        assert (session.name, session.traces_dir) == ("notebook", str(tmp_path))
        assert client.greeting.pid == shared.pid
        assert "demo" in [model.source for model in client.list_models().models]
        assert client.discover()["x-metrics"].keys() == all_metrics().keys()


def test_the_daemons_folder_by_its_name_is_the_daemons_folder() -> None:
    with private_settings() as (settings, environment), environment_set_to(environment):
        with Client(settings, traces_dir=settings.traces_dir) as client:
            made = client.generate_and_capture(PROMPT, max_tokens=1)
        with Client(settings, traces_dir=settings.traces_dir) as client:  # nobody used it in between
            assert [row.trace_id for row in client.list_traces().traces] == [made.trace_id]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_every_method_has_its_call(kind: type) -> None:
    missing = {name for name in methods.METHODS if not hasattr(kind, name.removeprefix("rpc."))}
    assert missing == {row.name for row in methods.METHODS.values() if row.by_connection} == {"hello", "cancel"}


@pytest.mark.parametrize(
    ("options", "params", "others"),
    [
        (GenerationOptions, GenerateAndCaptureParams, {"prompt", "stream"}),
        (InterveneOptions, InterveneParams, {"trace_id", "interventions", "stream"}),
        (ForkOptions, ForkTraceParams, {"trace_id", "position", "stream"}),
        (TensorOptions, GetTensorParams, {"trace_id", "name", "encoding"}),
    ],
)
def test_what_the_clients_take_besides_is_what_the_method_takes(options: Any, params: Any, others: set[str]) -> None:
    assert options.__annotations__.keys() == set(params.__struct_fields__) - others


def test_a_stream_is_cancelled_by_another_thread(client: Client) -> None:
    call = client.stream(PROMPT, **LONG)
    before = client.list_traces().total
    for event in call:
        if isinstance(event, GenerationProgress):
            canceller = threading.Thread(target=call.cancel)
            canceller.start()
            canceller.join()
            break
    with pytest.raises(RpcError) as caught:
        call.result(8)
    assert caught.value.name == "CANCELLED"
    assert client.list_traces().total == before


def test_ctrl_c_cancels_before_it_interrupts(client: Client) -> None:
    interrupting = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT))

    def interrupt(token: GenerationProgress) -> None:
        if interrupting.ident is None:
            interrupting.start()

    with pytest.raises(Interrupted) as caught:
        client.generate_and_capture(PROMPT, on_token=interrupt, **LONG)
    interrupting.join()
    assert caught.value.reply is not None
    assert caught.value.reply.error is not None
    assert caught.value.reply.error.name == "CANCELLED"  # type: ignore[attr-defined]
    assert not client.get_status().queue.running


def test_what_a_listener_raises_ends_the_generation(client: Client) -> None:
    def fail(token: GenerationProgress) -> None:
        raise ValueError("enough")

    before = client.list_traces().total
    with pytest.raises(ValueError, match="enough"):
        client.generate_and_capture(PROMPT, on_token=fail, **LONG)
    assert not client.get_status().queue.running
    assert client.list_traces().total == before


def test_a_time_limit_cancels(client: Client) -> None:
    before = client.list_traces().total
    with pytest.raises(TimeoutError, match="generate_and_capture was not answered within 0 s"):
        client.generate_and_capture(PROMPT, timeout=0, **LONG)
    client.generate_and_capture(PROMPT, max_tokens=1)  # after what is left of it
    assert client.list_traces().total == before + 1


def test_threads_share_a_client(client: Client) -> None:
    prompts = [f"Number {number} is" for number in range(4)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda prompt: client.generate_and_capture(prompt, max_tokens=2), prompts))
        assert [row.prompt for row in made] == prompts
        ids = [row.trace_id for row in made] * 10
        assert [row.trace_id for row in pool.map(lambda i: client.get_tokens(trace_id=i), ids)] == ids


def test_clients_are_told_of_each_others_traces(shared: DaemonProcess, client: Client) -> None:
    with Client(shared.settings) as other, other.notifications("traces_changed") as changes:
        told = Notes()
        stop = other.on_notification(lambda notice: told.add(notice.name))
        made = client.generate_and_capture(PROMPT, max_tokens=1)
        while made.trace_id not in changes.get(8).params.added:  # what the tests before did may come first
            pass
        told.wait(lambda names: "traces_changed" in names)
        stop()
        client.delete_trace(trace_id=made.trace_id)
        notice = next(changes)
        assert (notice.name, notice.params.removed) == ("traces_changed", [made.trace_id])
        changes.close()
        with pytest.raises(TimeoutError):
            changes.get(0)


def test_a_listener_that_fails_or_waits_harms_nobody(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    seen = Notes()

    def listen(notice: object) -> None:
        try:
            client.get_status()
        except RuntimeError as problem:
            seen.add(str(problem))
            raise

    client.on_notification(listen)
    client.generate_and_capture(PROMPT, max_tokens=1)
    assert "call it from another thread" in seen.wait(bool)[0]
    until(lambda: "listener for notifications failed" in caplog.text, "not logged")
    assert client.get_status().pid


def test_closing_ends_what_waits(shared: DaemonProcess) -> None:
    client = Client(shared.settings)
    changes = client.notifications()
    call = client.stream(PROMPT, **LONG)
    client.close()
    with pytest.raises(ConnectionLostError):
        call.result(8)
    assert [notice for notice in changes if notice.name == "traces_changed"] == []
    with pytest.raises(ConnectionLostError, match="closed"):
        client.get_status()


def test_a_daemon_that_was_killed_is_started_again(daemon_process: DaemonProcess) -> None:
    with Client(daemon_process.settings) as client, client.notifications("traces_changed") as changes:
        made = client.generate_and_capture(PROMPT, max_tokens=1)
        assert changes.get(8).params.added == [made.trace_id]
        call = client.stream(PROMPT, **LONG)
        next(iter(call))
        psutil.Process(daemon_process.pid).kill()
        with pytest.raises(ConnectionLostError, match=r"generate_and_capture.*ask again"):
            call.result(8)
        with pytest.raises(ConnectionLostError):
            changes.get(8)
        assert [row.trace_id for row in client.list_traces().traces] == [made.trace_id]
        assert client.greeting.pid != daemon_process.pid
        client.delete_trace(trace_id=made.trace_id)
        assert changes.get(8).params.removed == [made.trace_id]


def test_a_read_is_repeated_where_a_generation_is_not() -> None:
    daemon = ScriptedDaemon([hang_up], [hang_up], [result(NO_TRACES), hang_up])
    with Client(connect=daemon.connect) as client:
        assert client.list_traces().total == 0
        with pytest.raises(ConnectionLostError, match="generate_and_capture"):
            client.generate_and_capture(PROMPT)
    daemon.join()
    assert daemon.requests == [
        ["hello", "list_traces"],
        ["hello", "list_traces"],
        ["hello", "list_traces", "generate_and_capture"],
    ]


def test_repeating_ends() -> None:
    daemon = ScriptedDaemon([hang_up], [hang_up], [hang_up])
    with Client(connect=daemon.connect) as client, pytest.raises(ConnectionLostError, match="list_traces"):
        client.list_traces()
    daemon.join()
    assert daemon.scripts == []


def test_an_ending_daemon_is_left_for_the_next() -> None:
    daemon = ScriptedDaemon([error("SHUTTING_DOWN", -31018)], [error("QUEUE_FULL", -31011)])
    with Client(connect=daemon.connect) as client, pytest.raises(RpcError) as caught:
        client.generate_and_capture(PROMPT)
    daemon.join()
    assert caught.value.name == "QUEUE_FULL"


@pytest.mark.parametrize(
    "said",
    [b"no JSON\n", b"[1]\n", line({"method": "traces_changed", "params": {"added": 1}}), line({"id": 2, "result": {}})],
)
def test_a_daemon_that_speaks_otherwise_is_no_daemon(said: bytes) -> None:
    daemon = ScriptedDaemon(*[[lambda request: said]] * 3)
    with Client(connect=daemon.connect) as client, pytest.raises(ConnectionLostError):
        client.list_traces()
    daemon.join()


def test_an_error_for_no_request_in_particular_is_everybodys() -> None:
    said = line({"id": None, "error": {"code": -32700, "message": "no JSON"}})
    daemon = ScriptedDaemon([lambda request: said])
    with Client(connect=daemon.connect) as client, pytest.raises(RpcError, match="no JSON"):
        client.list_traces()
    daemon.join()


def test_a_connection_found_broken_is_replaced_before_sending() -> None:
    daemon = ScriptedDaemon([hang_up], [error("QUEUE_FULL", -31011)])
    with Client(connect=daemon.connect) as client:
        connection = client.connected()
        with pytest.raises(ConnectionLostError):
            client.call("shutdown")
        until(lambda: connection.conversation.lost is not None, "the end was not seen")
        with pytest.raises(RpcError):  # not lost: the generation went to the second connection
            client.generate_and_capture(PROMPT)
    daemon.join()


def test_a_method_that_is_not_there(client: Client) -> None:
    with pytest.raises(RpcError, match="There is no method 'nothing'"):
        client.call("nothing")


def test_wrong_params_are_the_daemons_to_refuse(client: Client) -> None:
    with pytest.raises(RpcError, match="limit") as caught:
        client.call("list_traces", {"limit": "many"})
    assert caught.value.name == "INVALID_PARAMS"
