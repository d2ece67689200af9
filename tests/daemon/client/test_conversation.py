"""The client's side of the line protocol, byte by byte, and what both clients share."""

import base64
import json
import math
from typing import get_args, get_type_hints

import msgspec
import numpy as np
import pytest

from daemon.client.aio import AsyncClient
from daemon.client.base import GenerationOptions, TensorOptions
from daemon.client.conversation import ConnectionLostError, Conversation, Event, Notice, Reply, array_of, pieces_of
from daemon.client.sync import Client
from protocol import methods
from protocol.errors import RpcError
from protocol.types import GenerateAndCaptureParams, GenerationProgress, GetTensorParams, GetTensorResult, TraceParams
from tests.daemon.scripted_daemon import NO_TRACES, line

TOKEN = {"token": 5, "text": " a", "position": 3, "forced": False, "surprisal": 0.5, "top": []}


class Ground:
    """A conversation, and all that came of it."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.events: list[Event] = []
        self.conversation = Conversation(self.notices.append)

    def ask(self, method: methods.Method = methods.LIST_TRACES) -> int:
        number, sent = self.conversation.request(method, {}, self.events.append)
        assert json.loads(sent) == {"jsonrpc": "2.0", "id": number, "method": method.name, "params": {}}
        assert sent.endswith(b"\n")
        return number

    def value(self) -> object:
        (reply,) = self.events
        assert isinstance(reply, Reply)
        return reply.value()


@pytest.fixture
def ground() -> Ground:
    return Ground()


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_bytes_may_come_in_any_pieces(ground: Ground, size: int) -> None:
    number = ground.ask(methods.GENERATE_AND_CAPTURE)
    other = ground.ask()
    change = {"traces_dir": "/t", "added": ["trace_1"], "changed": [], "removed": []}
    sent = (
        line({"method": "traces_changed", "params": change})
        + b"\n"
        + line({"method": "generation_progress", "params": {**TOKEN, "request": number}})
        + line({"method": "generation_progress", "params": {**TOKEN, "request": 99}})
        + line({"method": "of a later protocol", "params": {}})
        + line({"id": other, "result": NO_TRACES})
        + line({"id": 99, "result": None})
    )
    for start in range(0, len(sent), size):
        ground.conversation.feed(sent[start : start + size])
    assert [notice.params.added for notice in ground.notices] == [["trace_1"]]
    token, reply = ground.events
    assert isinstance(token, GenerationProgress)
    assert isinstance(reply, Reply)
    assert reply.value().total == 0


def test_params_are_sent_as_their_struct(ground: Ground) -> None:
    _, sent = ground.conversation.request(methods.GET_TOKENS, TraceParams(trace_id="é"), ground.events.append)
    assert json.loads(sent)["params"] == {"trace_id": "é"}


def test_an_error_is_raised_by_its_reply(ground: Ground) -> None:
    number = ground.ask()
    answer = {"code": -31001, "message": "No such trace.", "data": {"name": "TRACE_NOT_FOUND", "more": 1}}
    ground.conversation.feed(line({"id": number, "error": answer}))
    with pytest.raises(RpcError, match="No such trace") as caught:
        ground.value()
    assert (caught.value.name, caught.value.data["more"]) == ("TRACE_NOT_FOUND", 1)


def test_a_cancellation_names_its_request(ground: Ground) -> None:
    number = ground.ask()
    sent = json.loads(ground.conversation.cancellation(number))
    assert (sent["method"], sent["params"]) == ("cancel", {"id": number})
    ground.conversation.feed(line({"id": sent["id"], "result": {"cancelled": True}}))
    assert ground.events == []


def test_the_end_answers_all_and_what_comes_after(ground: Ground) -> None:
    ground.ask(methods.GENERATE_AND_CAPTURE)
    ground.conversation.end("it was killed")
    with pytest.raises(ConnectionLostError, match="before it answered generate_and_capture: it was killed"):
        ground.value()
    ground.events.clear()
    ground.ask()
    with pytest.raises(ConnectionLostError, match="it was killed"):
        ground.value()


def test_a_result_of_another_form_is_no_answer(ground: Ground) -> None:
    number = ground.ask()
    ground.conversation.feed(line({"id": number, "result": {"traces": 1}}))
    with pytest.raises(ConnectionLostError, match="traces"):
        ground.value()


def test_null_is_a_result(ground: Ground) -> None:
    number = ground.ask(methods.SHUTDOWN)
    ground.conversation.feed(line({"id": number, "result": None}))
    assert ground.value() is None


@pytest.mark.parametrize(
    ("dtype", "encoded"), [("float32", np.array([[0, 0.5]], np.float32)), ("float16", np.array([[0, 0.5]], np.float16))]
)
def test_arrays_come_as_they_were_sent(dtype: str, encoded: np.ndarray) -> None:
    data = base64.b64encode(encoded.tobytes()).decode()
    array = array_of(GetTensorResult(shape=[1, 2], dtype=dtype, data=data))
    assert array.dtype == dtype
    assert array.tolist() == [[0, 0.5]]
    assert array.flags.writeable


def test_bytes_stand_for_numbers_between_two() -> None:
    data = base64.b64encode(bytes([0, 255, 51])).decode()
    array = array_of(GetTensorResult(shape=[3], dtype="uint8", data=data, minimum=-1.0, maximum=4.0))
    assert array.tolist() == [-1.0, 4.0, 0.0]


def test_lists_become_arrays_too() -> None:
    array = array_of(GetTensorResult(shape=[2, 1], dtype="float32", data=[[1.0], [2.0]]))
    assert (array.dtype, array.tolist()) == (np.float32, [[1.0], [2.0]])


def too_large(shape: list[int], limit: int) -> RpcError:
    return RpcError("TOO_LARGE", "too much", {"shape": shape, "values": math.prod(shape), "limit": limit})


def test_what_is_too_large_is_asked_for_in_rows() -> None:
    assert pieces_of(too_large([1, 10, 4], 12), None) == [(0, 2), (2, 4), (4, 6), (6, 8), (8, 10)]
    assert pieces_of(too_large([7, 4], 16), (3, 10)) == [(3, 6), (6, 9), (9, 10)]
    for error in (too_large([10], 4), too_large([2, 100], 50), RpcError("TRACE_NOT_FOUND", "none")):
        with pytest.raises(RpcError) as caught:
            pieces_of(error, None)
        assert caught.value is error


def test_the_options_are_those_of_the_protocol() -> None:
    fields = get_type_hints(GenerateAndCaptureParams, include_extras=False)
    assert get_type_hints(GenerationOptions) == {
        name: kind for name, kind in fields.items() if name not in ("prompt", "stream")
    }
    own = get_type_hints(GetTensorParams)
    own = {name: kind for name, kind in own.items() if name not in ("trace_id", "name", "encoding")}
    plain = {name: kind for name, kind in get_type_hints(TensorOptions).items() if name not in ("rows", "columns")}
    assert plain == {name: own[name] for name in plain}
    assert get_type_hints(TensorOptions).keys() == own.keys()
    assert msgspec.convert([1, 2], get_args(own["rows"])[0]) == (1, 2)


def test_half_a_character_is_refused_before_anything_is_sent() -> None:
    conversation = Conversation(lambda notice: None)
    for params in ({"prompt": "a\ud83d"}, {"metadata": {"\udce9": 1}}, GenerateAndCaptureParams(prompt="caf\udce9")):
        with pytest.raises(RpcError, match="has half a character") as refused:
            conversation.request(methods.GENERATE_AND_CAPTURE, params, lambda event: None)
        assert refused.value.name == "INVALID_PARAMS"
    assert conversation._open == {}
    for client in (Client, AsyncClient):
        with pytest.raises(RpcError, match="has half a character"):
            client(name="caf\udce9")
