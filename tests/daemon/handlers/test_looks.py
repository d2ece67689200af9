"""Thumbnails, comparisons and shared characters, as the wire has them."""

import base64
from threading import Event

import numpy as np
import pytest

from daemon.handlers.alternatives import alternatives_of
from daemon.handlers.comparison import comparison
from daemon.handlers.thumbnails import read_thumbnails
from daemon.handlers.traces import document_of, tokens_of
from nanochat.analysis.thumbnails import pooled
from nanochat.errors import CancelledError, StorageError, TraceNotFoundError
from nanochat.trace_storage import TraceStorage
from protocol.errors import RpcError
from protocol.types import CompareTracesParams, GetAlternativesParams, GetHeadThumbnailsParams, TokenPiece
from tests.nanochat.trace_examples import small_trace


@pytest.fixture
def storage(tmp_path):
    return TraceStorage(tmp_path, catalogue=":memory:")


def text(token: int) -> str:
    return f"<{token}>"


def cancelled() -> Event:
    event = Event()
    event.set()
    return event


def test_each_layers_pictures_are_those_of_its_weights(storage):
    document, tensors = small_trace(prompt=30, generated=20, layers=3)
    del tensors["attention_weights.layer_1"]
    trace_id = storage.create_trace(document, tensors)
    found = read_thumbnails(storage, GetHeadThumbnailsParams(trace_id=trace_id), Event())
    assert not found.kept
    assert [layer.layer for layer in found.layers] == [0, 2]
    for layer in found.layers:
        cells = np.frombuffer(base64.b64decode(layer.data), np.uint8).reshape(layer.heads, layer.cells, layer.cells)
        assert np.array_equal(cells, pooled(tensors[f"attention_weights.layer_{layer.layer}"])[0])
    alone = read_thumbnails(storage, GetHeadThumbnailsParams(trace_id=trace_id, layer=2), Event())
    assert alone.layers == found.layers[1:]
    with pytest.raises(RpcError, match="of the layers 0, 2, not of 1"):
        read_thumbnails(storage, GetHeadThumbnailsParams(trace_id=trace_id, layer=1), Event())
    with pytest.raises(CancelledError):
        read_thumbnails(storage, GetHeadThumbnailsParams(trace_id=trace_id), cancelled())


def test_a_trace_without_attention_has_none(storage):
    trace_id = storage.create_trace({}, {})
    assert read_thumbnails(storage, GetHeadThumbnailsParams(trace_id=trace_id), Event()).layers == []


def test_what_is_kept_and_does_not_fit_its_weights_is_made_anew(storage):
    document, tensors = small_trace(prompt=30, generated=20)
    tensors["attention_thumbnails.layer_0"] = np.full((1, 2, 5, 5), 255, np.uint8)
    trace_id = storage.create_trace(document, tensors)
    found = read_thumbnails(storage, GetHeadThumbnailsParams(trace_id=trace_id, layer=0), Event())
    assert (found.kept, found.layers[0].cells) == (False, 32)


def test_two_traces_are_compared_layer_by_layer(storage):
    one, other = (storage.create_trace(*small_trace(seed=seed)) for seed in (1, 2))
    whole = comparison(storage, CompareTracesParams(trace_id=one, other_id=other), text, Event())
    assert len(whole.pairs) == 7 and [layer.layer for layer in whole.layers] == [0, 1]
    second = comparison(storage, CompareTracesParams(trace_id=one, other_id=other, layer=1), text, Event())
    assert second.layers == whole.layers[1:]
    with pytest.raises(RpcError, match="in the layers 0, 1"):
        comparison(storage, CompareTracesParams(trace_id=one, other_id=other, layer=2), text, Event())
    with pytest.raises(CancelledError):
        comparison(storage, CompareTracesParams(trace_id=one, other_id=other), text, cancelled())
    with pytest.raises(TraceNotFoundError):
        comparison(storage, CompareTracesParams(trace_id=one, other_id="gone"), text, Event())


def test_the_tokens_alone_take_no_look_at_the_heads(storage):
    one, other = (storage.create_trace(*small_trace(seed=seed)) for seed in (1, 2))
    whole = comparison(storage, CompareTracesParams(trace_id=one, other_id=other), text, Event())
    quick = CompareTracesParams(trace_id=one, other_id=other, layer=40, heads=False)
    found = comparison(storage, quick, text, cancelled())
    assert found.layers == [] and found.pairs == whole.pairs


def test_the_other_trace_may_lie_in_another_folder(storage, tmp_path):
    beside = TraceStorage(tmp_path / "beside", catalogue=":memory:")
    one, other = (place.create_trace(*small_trace(seed=2)) for place in (storage, beside))
    params = CompareTracesParams(trace_id=one, other_id=other, other_dir=str(tmp_path / "beside"))
    twice = CompareTracesParams(trace_id=one, other_id=one)
    assert comparison(storage, params, text, Event()) == comparison(storage, twice, text, Event())
    with pytest.raises(TraceNotFoundError):
        comparison(storage, CompareTracesParams(trace_id=one, other_id=other), text, Event())
    params = CompareTracesParams(trace_id=one, other_id=other, other_dir="~nobody-at-all/traces")
    with pytest.raises(StorageError, match="nobody's home"):
        comparison(storage, params, text, Event())


def test_texts_that_share_no_position_have_no_divergence(storage):
    empty, full = storage.create_trace({}, {}), storage.create_trace(*small_trace())
    found = comparison(storage, CompareTracesParams(trace_id=empty, other_id=full), text, Event())
    assert found.layers == []
    assert all(pair.a is None and not pair.same for pair in found.pairs)


def test_tokens_say_which_share_a_character(storage):
    document, tensors = small_trace(prompt=3, generated=1)
    document["tokens"]["input_text"] = ["a", "\\xc3", "\\xa9"]
    document["tokens"]["output_text"] = ["b"]
    trace_id = storage.create_trace(document, tensors)
    expected = [None, TokenPiece(text="é", index=0, count=2), TokenPiece(text="é", index=1, count=2), None]
    assert [row.piece for row in tokens_of(storage, trace_id, text, Event()).tokens] == expected
    assert [row.piece for row in document_of(storage, trace_id, text, Event()).tokens] == expected


def test_candidates_of_a_position_are_as_many_as_were_asked_for(storage):
    document, tensors = small_trace(prompt=3, generated=4)
    vocabulary = 1 + max(*document["tokens"]["input_tokens"], *document["tokens"]["output_tokens"])
    tensors["output_logits"] = np.random.default_rng(5).standard_normal((1, 4, vocabulary), dtype=np.float32)
    trace_id = storage.create_trace(document, tensors)
    params = GetAlternativesParams(trace_id=trace_id, position=4, count=vocabulary)
    found = alternatives_of(storage, params, text)
    assert (found.position, found.captured, len(found.alternatives)) == (4, vocabulary, vocabulary)
    assert sum(row.probability or 0 for row in found.alternatives) == pytest.approx(1)
    few = alternatives_of(storage, GetAlternativesParams(trace_id=trace_id, position=4, count=2), text)
    assert few.alternatives == found.alternatives[:2]
    with pytest.raises(RpcError, match="has the positions 0 to 6, not 7"):
        alternatives_of(storage, GetAlternativesParams(trace_id=trace_id, position=7), text)
