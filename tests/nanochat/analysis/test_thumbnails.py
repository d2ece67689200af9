"""Thumbnails of heads: what pooling gives, which traces keep it, and that both say the same."""

import threading

import numpy as np
import pytest

from nanochat.analysis.thumbnails import CELLS, KEPT_FROM, attention_layers, kept_infos, layer_thumbnails, pooled
from nanochat.errors import CancelledError
from nanochat.interpretability_engine import InterpretabilityEngine
from nanochat.trace_storage import TraceStorage
from nanochat.traces.tensors import Positions, step_index
from tests.models import golden_model
from tests.nanochat.trace_examples import small_trace

LONG = "one two three four five six seven eight nine ten " * 6


def by_hand(weights: np.ndarray) -> np.ndarray:
    """The largest of each block, cell by cell."""
    size = weights.shape[-1]
    count = min(size, CELLS)
    cells = np.zeros((*weights.shape[:2], count, count), np.float64)
    place = [max(i for i in range(count) if i * size // count <= position) for position in range(size)]
    for query in range(size):
        for key in range(size):
            at = (..., place[query], place[key])
            cells[at] = np.maximum(cells[at], weights[..., query, key])
    return np.rint(cells * 255).astype(np.uint8)


@pytest.mark.parametrize("size", [1, 2, 31, 32, 33, 63, 64, 100])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_a_block_is_its_largest_weight(size, dtype):
    weights = np.random.default_rng(size).random((1, 3, size, size)).astype(dtype)
    assert np.array_equal(pooled(weights), by_hand(weights))


def test_nothing_and_what_is_no_weight():
    assert pooled(np.zeros((1, 0, 5, 5))).shape == (1, 0, 5, 5)
    assert pooled(np.zeros((1, 2, 0, 0))).shape == (1, 2, 0, 0)
    assert pooled(np.array([[[[np.nan, -3.0], [7.0, np.inf]]]])).tolist() == [[[[0, 0], [255, 255]]]]


@pytest.fixture(params=["json", "safetensors"])
def captured(request, tmp_path):
    """A long text's trace."""
    engine = InterpretabilityEngine(*golden_model(), TraceStorage(tmp_path, catalogue=":memory:"))
    found = engine.generate_and_capture(LONG, max_tokens=3, temperature=0, format=request.param)
    with engine.storage.open_trace(found["trace_id"]) as trace:
        yield trace


def test_a_long_texts_trace_keeps_what_its_weights_give(captured):
    assert captured.shape("attention_weights.layer_0")[-1] >= KEPT_FROM
    for layer in attention_layers(captured):
        found = layer_thumbnails(captured, layer)
        assert found.kept
        assert np.array_equal(found.cells, pooled(captured.tensor(f"attention_weights.layer_{layer}"))[0])
        assert found.cells.max() > 0
    assert {name for name in captured.names() if "thumbnails" in name} == kept_infos(captured.infos()).keys()


def test_no_step_has_them(captured):
    assert not [name for name in captured.step(1).names() if "thumbnails" in name]


def test_a_short_texts_trace_is_pooled_when_it_is_read(tmp_path):
    storage = TraceStorage(tmp_path, catalogue=":memory:")
    with storage.open_trace(storage.create_trace(*small_trace())) as trace:
        (layer, *_) = attention_layers(trace)
        found = layer_thumbnails(trace, layer)
        assert not found.kept
        assert np.array_equal(found.cells, pooled(trace.tensor(f"attention_weights.layer_{layer}"))[0])
        cancel = threading.Event()
        cancel.set()
        with pytest.raises(CancelledError):
            layer_thumbnails(trace, layer, cancel)


def test_nor_where_there_are_as_many_heads_as_positions():
    positions = Positions(60, 5)
    assert step_index("attention_thumbnails.layer_0", (1, positions.count, CELLS, CELLS), positions, 1) is None
