"""Attention as it is looked at, as the wire has it."""

import base64
from threading import Event

import numpy as np
import pytest

from daemon.handlers.attention import read_attention
from nanochat.errors import TraceNotFoundError
from nanochat.trace_storage import TraceStorage
from protocol.errors import RpcError
from protocol.types import GetAttentionParams
from tests.nanochat.trace_examples import small_trace

HEADS = [(0, 0), (1, 1)]


@pytest.fixture
def storage(tmp_path):
    return TraceStorage(tmp_path, catalogue=":memory:")


@pytest.fixture
def trace_id(storage):
    return storage.create_trace(*small_trace(prompt=30, generated=20), format="safetensors")


def test_bytes_are_the_mean_of_the_heads(storage, trace_id):
    params = GetAttentionParams(trace_id=trace_id, heads=HEADS, rows=(5, 9), columns=(0, 12), encoding="base64")
    found = read_attention(storage, params, Event())
    values = np.frombuffer(base64.b64decode(bytes(found.data)), "<f4").reshape(found.shape)
    with storage.open_trace(trace_id) as trace:
        mean = np.mean([trace.attention(*head) for head in HEADS], axis=0)
    assert np.array_equal(values, mean[5:9, :12])


def test_a_part_too_large_and_spans_that_end_early_are_refused_before_anything_is_read(storage, trace_id, monkeypatch):
    with pytest.raises(RpcError, match="end before they begin"):
        read_attention(storage, GetAttentionParams(trace_id=trace_id, heads=HEADS, rows=(5, 4)), Event())
    monkeypatch.setattr("daemon.handlers.tensor_encoding.LARGEST_JSON", 100)
    with pytest.raises(RpcError, match="2,401 values"):
        read_attention(storage, GetAttentionParams(trace_id=trace_id, heads=HEADS), Event())
    with pytest.raises(TraceNotFoundError, match="no attention of layer 9"):
        read_attention(storage, GetAttentionParams(trace_id=trace_id, heads=[(9, 0)]), Event())
