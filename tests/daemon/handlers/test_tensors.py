"""A tensor, or the part that was asked for, as lists or bytes; no more of the file is read than that part."""

import base64
import os
from collections.abc import Callable
from threading import Event
from typing import Any

import msgspec
import numpy as np
import pytest

from daemon.handlers import tensor_encoding
from daemon.handlers import tensors as handlers_tensors
from nanochat.trace_storage import TraceStorage
from nanochat.traces.tensors import to_dtype
from nanochat.traces.trace import Trace
from protocol.types import GetTensorParams
from tests.daemon.handlers.test_traces import Ground
from tests.nanochat.trace_examples import leaf, older_document, small_trace, write_json

DOCUMENT, TENSORS = small_trace(prompt=3, generated=4, layers=3, heads=2, width=5)
HEADS = {
    "layer_activations.layer_0.q": np.random.default_rng(1).standard_normal((1, 6, 2, 4), dtype=np.float32),
    "layer_activations.layer_0.head_output": np.random.default_rng(2).standard_normal((1, 6, 2, 5), dtype=np.float32),
    "output_logits.indices": np.arange(12, dtype=np.int32).reshape(1, 6, 2),
    "output_logits.log_sum_exp": np.arange(6, dtype=np.float32).reshape(1, 6),
}
del TENSORS["output_logits"]
TENSORS |= HEADS
WEIGHTS = TENSORS["attention_weights.layer_1"]
PARTS: list[tuple[dict[str, Any], Callable[[], np.ndarray]]] = [
    ({"name": "attention_weights.layer_1"}, lambda: WEIGHTS),
    ({"name": "attention_weights", "layer": 1}, lambda: WEIGHTS),
    ({"name": "attention_weights", "layer": 1, "head": 1}, lambda: WEIGHTS[0, 1]),
    ({"name": "attention_weights", "layer": 1, "head": 0, "rows": (1, 3)}, lambda: WEIGHTS[0, 0, 1:3]),
    ({"name": "attention_weights", "layer": 1, "head": 0, "columns": (2, 4)}, lambda: WEIGHTS[0, 0, :, 2:4]),
    ({"name": "attention_weights", "layer": 1, "rows": (2, 5), "columns": (0, 1)}, lambda: WEIGHTS[:, :, 2:5, :1]),
    ({"name": "attention_weights", "layer": 1, "rows": (4, 99)}, lambda: WEIGHTS[:, :, 4:]),
    ({"name": "attention_weights", "layer": 1, "rows": (7, 9)}, lambda: WEIGHTS[:, :, 7:]),
    ({"name": "attention_weights", "layer": 1, "rows": (2, 2)}, lambda: WEIGHTS[:, :, 2:2]),
    ({"name": "attention_weights", "layer": 1, "step": 0}, lambda: WEIGHTS[:, :, :3, :3]),
    ({"name": "attention_weights", "layer": 1, "step": 2}, lambda: WEIGHTS[:, :, 4:5, :5]),
    ({"name": "attention_weights", "layer": 1, "step": 2, "head": 1}, lambda: WEIGHTS[0, 1, 4:5, :5]),
    ({"name": "attention_weights", "layer": 1, "step": 0, "rows": (1, 2)}, lambda: WEIGHTS[:, :, 1:2, :3]),
    ({"name": "layer_activations.layer_2.post_mlp"}, lambda: TENSORS["layer_activations.layer_2.post_mlp"]),
    ({"name": "post_mlp", "layer": 2, "rows": (0, 2)}, lambda: TENSORS["layer_activations.layer_2.post_mlp"][:, :2]),
    ({"name": "token_embeddings", "columns": (1, 3)}, lambda: TENSORS["token_embeddings"][..., 1:3]),
    ({"name": "token_embeddings", "step": 1}, lambda: TENSORS["token_embeddings"][:, 3:4]),
    ({"name": "q", "layer": 0, "head": 1}, lambda: HEADS["layer_activations.layer_0.q"][0, :, 1]),
    ({"name": "q", "layer": 0, "head": 1, "rows": (1, 3)}, lambda: HEADS["layer_activations.layer_0.q"][0, 1:3, 1]),
    ({"name": "head_output", "layer": 0, "head": 0}, lambda: HEADS["layer_activations.layer_0.head_output"][0, :, 0]),
    ({"name": "output_logits.indices"}, lambda: HEADS["output_logits.indices"]),
    ({"name": "output_logits.log_sum_exp", "columns": (1, 4)}, lambda: HEADS["output_logits.log_sum_exp"][:, 1:4]),
]


@pytest.fixture
def ground(tmp_path):
    (tmp_path / "traces").mkdir()
    ground = Ground(tmp_path / "traces")
    yield ground
    ground.close()


@pytest.fixture(params=["json", "safetensors"])
def trace_id(request, ground):
    return ground.storage.create_trace(DOCUMENT, TENSORS, format=request.param)


@pytest.mark.parametrize(("params", "expected"), PARTS)
def test_the_part_that_was_asked_for_comes(ground, trace_id, params, expected):
    array = expected()
    result = ground.call("get_tensor", trace_id=trace_id, **params)
    assert result["shape"] == list(array.shape)
    assert result["dtype"] == array.dtype.name
    assert np.asarray(result["data"], array.dtype).reshape(array.shape).tolist() == array.tolist()
    if array.size:
        assert np.shape(result["data"]) == array.shape
    result = ground.call("get_tensor", trace_id=trace_id, encoding="base64", **params)
    values = np.frombuffer(base64.b64decode(result["data"]), "<f4").reshape(result["shape"])
    np.testing.assert_array_equal(values, array.astype(np.float32))


FAULTS = [
    ({"name": "nothing"}, "TRACE_NOT_FOUND", "tensors of: token_embeddings"),
    ({"name": "attention_weights"}, "INVALID_PARAMS", "one of 0, 1, 2"),
    ({"name": "post_mlp"}, "INVALID_PARAMS", "one of 0, 1, 2"),
    ({"name": "attention_weights", "layer": 3}, "TRACE_NOT_FOUND", "of the layers 0, 1, 2, not of 3"),
    ({"name": "post_mlp", "layer": 7}, "TRACE_NOT_FOUND", "of the layers 0, 1, 2, not of 7"),
    ({"name": "attention_weights.layer_1", "layer": 1}, "INVALID_PARAMS", "leave `layer` out"),
    ({"name": "attention_weights", "layer": 1, "head": 2}, "TRACE_NOT_FOUND", "heads 0 to 1, not 2"),
    ({"name": "post_mlp", "layer": 1, "head": 0}, "INVALID_PARAMS", "has no heads"),
    ({"name": "token_embeddings", "head": 0}, "INVALID_PARAMS", "has no heads"),
    ({"name": "token_embeddings", "step": 4}, "TRACE_NOT_FOUND", "steps 0 to 3"),
    ({"name": "token_embeddings", "rows": (3, 2)}, "INVALID_PARAMS", "end before they begin"),
    ({"name": "token_embeddings", "rows": (-1, 2)}, "INVALID_PARAMS", "rows"),
    ({"name": "token_embeddings", "encoding": "png"}, "INVALID_PARAMS", "encoding"),
]


@pytest.mark.parametrize(("params", "name", "message"), FAULTS)
def test_what_is_not_there_is_said(ground, trace_id, params, name, message):
    found = ground.error("get_tensor", trace_id=trace_id, **params)
    assert found[0] == name
    assert message in found[1]


def test_what_has_no_rows_is_said(ground):
    document = older_document(model_data={"vector": leaf([1.0, 2.0, 3.0])})
    write_json(ground.folders.default.path / "old.json", document)
    assert ground.call("get_tensor", trace_id="old", name="vector", columns=(1, 3))["data"] == [2.0, 3.0]
    assert ground.error("get_tensor", trace_id="old", name="vector", rows=(0, 1))[0] == "INVALID_PARAMS"


def test_steps_of_an_older_file_are_its_own(ground):
    write_json(ground.folders.default.path / "old.json", older_document())
    assert ground.call("get_tensor", trace_id="old", name="token_embeddings", step=1)["data"] == [[[7.0, 6.0]]]
    result = ground.call("get_tensor", trace_id="old", name="attention_weights", layer=0, step=1, head=0)
    assert (result["shape"], result["data"]) == ([1, 1], [[1.0]])


def test_narrow_floats_keep_their_few_digits(ground):
    trace_id = ground.storage.create_trace(DOCUMENT, TENSORS, format="safetensors", dtype="float16")
    result = ground.call("get_tensor", trace_id=trace_id, name="token_embeddings", encoding="base64", dtype="float16")
    values = np.frombuffer(base64.b64decode(result["data"]), "<f2").reshape(result["shape"])
    np.testing.assert_array_equal(values, TENSORS["token_embeddings"].astype(np.float16))
    assert result["dtype"] == "float16"


def decoded(ground, trace_id, **params):
    result = ground.call("get_tensor", trace_id=trace_id, encoding="base64", dtype="uint8", **params)
    values = np.frombuffer(base64.b64decode(result["data"]), np.uint8).reshape(result["shape"])
    span = result["maximum"] - result["minimum"]
    return result, values, result["minimum"] + values.astype(np.float64) / 255 * span


def test_bytes_of_weights_stand_for_0_to_1(ground, trace_id):
    result, _, values = decoded(ground, trace_id, name="attention_weights", layer=1, rows=(3, 5))
    assert (result["minimum"], result["maximum"], result["dtype"]) == (0.0, 1.0, "uint8")
    np.testing.assert_allclose(values, WEIGHTS[:, :, 3:5], atol=0.5001 / 255)


def test_bytes_of_other_values_span_what_is_there(ground, trace_id):
    array = TENSORS["layer_activations.layer_1.post_attn"]
    result, raw, values = decoded(ground, trace_id, name="post_attn", layer=1)
    assert (result["minimum"], result["maximum"]) == (pytest.approx(array.min()), pytest.approx(array.max()))
    assert (raw.min(), raw.max()) == (0, 255)
    np.testing.assert_allclose(values, array, atol=(array.max() - array.min()) * 0.5001 / 255)


@pytest.mark.parametrize(
    ("array", "expected", "span"),
    [
        ([[0.0, np.nan, 4.0, np.inf, -np.inf]], [0, 0, 255, 255, 0], (0.0, 4.0)),
        ([[-4.0, np.nan, 4.0]], [0, 0, 255], (-4.0, 4.0)),
        ([[2.0, 2.0]], [0, 0], (2.0, 2.0)),
        ([[np.nan]], [0], (0.0, 0.0)),
        (np.zeros((1, 0)), [], (0.0, 0.0)),
        ([[-3.4e38, 3.4e38]], [0, 255], (pytest.approx(-3.4e38), pytest.approx(3.4e38))),
    ],
)
def test_values_that_are_no_numbers_become_bytes_too(array, expected, span):
    encoded = tensor_encoding.as_base64(np.array(array, np.float32), "uint8", weights=False)
    assert list(base64.b64decode(msgspec.json.decode(encoded.data))) == expected
    assert (encoded.minimum, encoded.maximum) == span


def test_weights_beyond_1_are_not_cut():
    encoded = tensor_encoding.as_base64(np.array([[0.0, 2.0]], np.float32), "uint8", weights=True)
    assert encoded.maximum == 2.0


def test_what_float16_cannot_hold_is_said(ground):
    tensors = {"token_embeddings": np.array([[[70000.0]]], np.float32)}
    trace_id = ground.storage.create_trace({}, tensors)
    found = ground.error("get_tensor", trace_id=trace_id, name="token_embeddings", encoding="base64", dtype="float16")
    assert found[0] == "INVALID_PARAMS" and "float32" in found[1]


def test_numbers_that_are_none_are_null_in_lists(ground):
    tensors = {"token_embeddings": np.array([[[1.5, np.nan, np.inf]]], np.float32)}
    for format in ("json", "safetensors"):
        trace_id = ground.storage.create_trace({}, tensors, format=format)
        assert ground.call("get_tensor", trace_id=trace_id, name="token_embeddings")["data"] == [[[1.5, None, None]]]


@pytest.mark.parametrize("shape", [(3,), (2, 3), (1, 2, 3), (2, 1, 2, 3), (0,), (0, 3), (2, 0), (2, 0, 3)])
def test_lists_of_any_shape(shape, monkeypatch):
    monkeypatch.setattr(tensor_encoding, "VALUES_AT_ONCE", 4)
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    for narrow in (array, to_dtype("x", array, "bfloat16"), array.astype(np.int32)):
        assert msgspec.json.decode(tensor_encoding.as_lists(narrow).data) == array.tolist()


def test_too_much_for_one_answer_is_refused_before_it_is_read(ground, trace_id, monkeypatch):
    monkeypatch.setattr(tensor_encoding, "LARGEST_JSON", 71)
    monkeypatch.setattr(tensor_encoding, "LARGEST_BASE64", 71)

    def never(*_):
        raise AssertionError("it was read")

    whole = {"trace_id": trace_id, "name": "attention_weights", "layer": 1}  # 72 values
    with monkeypatch.context() as patch:
        patch.setattr(handlers_tensors, "_read", never)
        for more, words in (
            ({}, ["72 values", "holds 71 as nested lists", 'encoding "base64"', "a head, or some rows and columns"]),
            ({"encoding": "base64"}, ["holds 17 as base64 of float32", '"uint8"']),
            ({"encoding": "base64", "dtype": "float16"}, ["holds 35 as base64 of float16"]),
            ({"encoding": "base64", "dtype": "uint8"}, ["holds 71 as base64 of uint8"]),
        ):
            name, message = ground.error("get_tensor", **whole, **more)
            assert name == "TOO_LARGE"
            assert all(word in message for word in words)
    assert ground.call("get_tensor", **whole, head=0)["shape"] == [6, 6]
    assert ground.call("get_tensor", **whole, columns=(0, 5))["shape"] == [1, 2, 6, 5]


def test_the_largest_answers_fit_into_one_message():
    values = -np.random.default_rng(0).random(tensor_encoding.LARGEST_JSON, np.float32).reshape(1, -1, 256) * 1e-20
    assert len(tensor_encoding.as_lists(values).data) < 23 << 20
    assert tensor_encoding.LARGEST_BASE64 * 4 / 3 < 23 << 20


def test_only_the_rows_that_are_asked_for_are_read(tmp_path, monkeypatch):
    storage = TraceStorage(tmp_path, catalogue=":memory:")
    tensors = {"attention_weights.layer_0": np.zeros((1, 4, 300, 300), np.float32)}
    trace_id = storage.create_trace({}, tensors, format="safetensors")
    lengths: list[int] = []
    original = os.pread

    def counted(descriptor, length, offset):
        lengths.append(length)
        return original(descriptor, length, offset)

    monkeypatch.setattr("nanochat.traces.tensors.os.pread", counted)
    params = GetTensorParams(trace_id=trace_id, name="attention_weights", layer=0, rows=(10, 12), columns=(0, 5))
    assert handlers_tensors.read_part(storage, params, Event()).shape == [1, 4, 2, 5]
    assert [length for length in lengths if length > 2000] == [2 * 300 * 4] * 4
    params = GetTensorParams(trace_id=trace_id, name="attention_weights", layer=0, head=3, rows=(0, 1))
    lengths.clear()
    handlers_tensors.read_part(storage, params, Event())
    assert sum(lengths) < 4000


def test_text_is_read_once_for_all_heads(ground, monkeypatch):
    trace_id = ground.storage.create_trace(DOCUMENT, TENSORS, format="json")
    reads: list[Any] = []
    original = Trace.tensor
    monkeypatch.setattr(Trace, "tensor", lambda self, *index: reads.append(index) or original(self, *index))
    ground.call("get_tensor", trace_id=trace_id, name="attention_weights", layer=1, rows=(1, 2))
    assert len(reads) == 1


def test_a_cancelled_read_sends_nothing(ground, trace_id):
    ground.cancel.set()
    params = {"trace_id": trace_id, "name": "attention_weights", "layer": 1}
    assert ground.error("get_tensor", **params, rows=(0, 1))[0] == "CANCELLED"
    assert ground.error("get_tensor", **params)[0] == "CANCELLED"
