"""Attention as it is looked at: numpy's numbers of heads combined, without the sink, weighted by values."""

import threading

import numpy as np
import pytest

from nanochat.analysis.attention_view import attention_view, layers_with_values, value_norms, without_sink
from nanochat.errors import CancelledError, TraceNotFoundError
from nanochat.interpretability_engine import InterpretabilityEngine
from nanochat.trace_storage import TraceStorage
from tests.models import golden_model
from tests.nanochat.trace_examples import small_trace

POSITIONS = 50
ALL = [(layer, head) for layer in range(3) for head in range(4)]


@pytest.fixture(params=["json", "safetensors"])
def trace(request, tmp_path):
    """Three layers of four heads in two key-value groups; layer 0 has norms, layer 1 values, layer 2 neither."""
    document, tensors = small_trace(prompt=31, generated=20, layers=3, heads=4)
    numbers = np.random.default_rng(5)
    tensors["value_norms.layer_0"] = numbers.random((1, POSITIONS, 2), dtype=np.float32) * 9
    tensors["layer_activations.layer_1.v"] = numbers.standard_normal((1, POSITIONS, 2, 6), dtype=np.float32)
    storage = TraceStorage(tmp_path, catalogue=":memory:")
    trace_id = storage.create_trace(document, tensors, format=request.param)
    with storage.open_trace(trace_id) as opened:
        yield opened


@pytest.mark.parametrize("heads", [[(1, 2)], [(0, 3), (2, 1)], ALL])
@pytest.mark.parametrize(("combine", "by_numpy"), [("mean", np.mean), ("max", np.max)])
def test_combined_heads_are_numpys_mean_and_maximum(trace, heads, combine, by_numpy):
    stack = np.stack([trace.attention(layer, head) for layer, head in heads])
    found = attention_view(trace, heads, combine)
    assert found.dtype == np.float32
    assert np.array_equal(found, by_numpy(stack, axis=0))
    part = attention_view(trace, heads, combine, rows=(10, 20), columns=(3, 999))
    assert np.array_equal(part, found[10:20, 3:])


def test_rows_sum_to_one_without_the_sink(trace):
    weights = trace.attention(1, 0)
    found = attention_view(trace, [(1, 0)], hide_sink=True)
    assert not found[:, 0].any() and not found[0].any()
    assert np.allclose(found.sum(axis=1)[1:], 1, atol=1e-6)
    assert np.allclose(found[1:, 1:], weights[1:, 1:] / weights[1:, 1:].sum(axis=1, keepdims=True), atol=1e-7)
    part = attention_view(trace, [(1, 0)], hide_sink=True, rows=(7, 9), columns=(2, 5))
    assert np.array_equal(part, found[7:9, 2:5])


def test_a_row_that_is_all_sink_has_nothing_left_and_one_nearly_so_is_whole():
    rows = np.array([[1, 0, 0], [1 - 1e-7, 5e-8, 5e-8]], np.float32)
    assert without_sink(rows).tolist() == [[0, 0, 0], [0, 0.5, 0.5]]
    assert without_sink(np.ones((1, 1), np.float16)).tolist() == [[0]]


def test_weights_times_the_norm_of_the_keys_values_in_the_heads_own_group(trace):
    kept = trace.tensor("value_norms.layer_0", 0)
    computed = np.sqrt((trace.tensor("layer_activations.layer_1.v", 0) ** 2).sum(-1))
    for head in range(4):
        group = head // 2
        found = attention_view(trace, [(0, head)], value_weighted=True)
        assert np.array_equal(found, trace.attention(0, head) * kept[:, group])
        of_values = attention_view(trace, [(1, head)], value_weighted=True, columns=(4, 30))
        assert np.allclose(of_values, trace.attention(1, head)[:, 4:30] * computed[4:30, group], rtol=1e-6)
    both = attention_view(trace, [(0, 1)], hide_sink=True, value_weighted=True)
    assert np.array_equal(both, attention_view(trace, [(0, 1)], hide_sink=True) * kept[:, 0])
    assert layers_with_values(trace.names()) == [0, 1]


def test_what_is_not_there_is_said(trace):
    with pytest.raises(TraceNotFoundError, match="holds no values of layer 2: capture it with the site value_norms"):
        attention_view(trace, [(2, 0)], value_weighted=True)
    with pytest.raises(TraceNotFoundError, match="no attention of layer 7"):
        attention_view(trace, [(0, 0), (7, 0)])
    with pytest.raises(TraceNotFoundError, match="the heads 0 to 3, not 4"):
        attention_view(trace, [(0, 4)])
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(CancelledError):
        attention_view(trace, ALL, cancel=cancel)


def test_a_capture_keeps_the_norms_of_the_values_beside_its_weights(tmp_path):
    engine = InterpretabilityEngine(*golden_model(), TraceStorage(tmp_path, catalogue=":memory:"))
    ask = {"max_tokens": 5, "temperature": 0, "format": "safetensors"}
    usual = engine.generate_and_capture("The symbol of gold is", **ask)
    whole = engine.generate_and_capture("The symbol of gold is", **ask, capture={"sites": ["v"]})
    with (
        engine.storage.open_trace(usual["trace_id"]) as kept,
        engine.storage.open_trace(whole["trace_id"]) as values,
    ):
        for layer in range(engine.model.config.n_layer):
            norms, computed = value_norms(kept, layer), value_norms(values, layer)
            assert norms is not None and computed is not None
            assert norms.shape == (kept.shape("attention_weights.layer_0")[-1], engine.model.config.n_kv_head)
            assert np.allclose(norms, computed, rtol=1e-5)
        assert kept.step(1).tensor("value_norms.layer_0").shape == (1, 1, engine.model.config.n_kv_head)
