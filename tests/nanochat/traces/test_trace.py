"""A trace read on request: right values, no more of the file than needed, and conversions that lose nothing."""

import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanochat.errors import SettingInvalidError, StorageError, TraceNotFoundError, TraceUnreadableError
from nanochat.trace_storage import TraceStorage
from nanochat.traces.blocks import block_for
from nanochat.traces.file import TraceFile
from nanochat.traces.trace import Trace
from tests.nanochat.trace_examples import arrays, names, older_document, same_values, small_trace, write_json

FORMATS = ["json", "safetensors"]


@pytest.fixture
def storage(tmp_path):
    return TraceStorage(tmp_path / "traces", catalogue=tmp_path / "c.sqlite3")


@pytest.fixture(params=FORMATS)
def trace(request, storage):
    with storage.open_trace(storage.create_trace(*small_trace(), format=request.param)) as trace:
        yield trace


def test_tensors_come_as_they_were_saved(trace):
    document, tensors = small_trace()
    assert sorted(trace.names()) == sorted(tensors)
    for name, array in tensors.items():
        assert trace.shape(name) == array.shape
        assert trace.dtype(name) == "float32"
        np.testing.assert_array_equal(trace.tensor(name), array)
    np.testing.assert_array_equal(trace.attention(1), tensors["attention_weights.layer_1"][0])
    np.testing.assert_array_equal(trace.attention(1, 1), tensors["attention_weights.layer_1"][0, 1])
    np.testing.assert_array_equal(trace.activation(0, "post_mlp"), tensors["layer_activations.layer_0.post_mlp"][0])
    np.testing.assert_array_equal(trace.embeddings(), tensors["token_embeddings"][0])
    np.testing.assert_array_equal(trace.logits(), tensors["output_logits"][0])
    assert set(trace.tensors) == set(tensors)
    np.testing.assert_array_equal(trace.tensors["output_logits"], tensors["output_logits"])
    assert {key: trace.document[key] for key in document} == document
    assert "model_data" not in trace.document


def test_what_the_trace_does_not_have_is_said(trace):
    with pytest.raises(TraceNotFoundError, match=r"has no tensor 'attention_weights\.layer_7'"):
        trace.attention(7)
    with pytest.raises(TraceNotFoundError, match="heads 0 to 1, not 2"):
        trace.attention(0, 2)
    with pytest.raises(TraceNotFoundError, match="steps 0 to 3, not 4"):
        trace.step(4)
    with pytest.raises(TraceNotFoundError, match="has no tensor 'x'"):
        trace.step(0).tensor("x")
    with pytest.raises(KeyError):
        trace.step(0)["x"]
    with pytest.raises(IndexError):
        trace.tensor("token_embeddings", (0, 6))


def test_a_closed_trace_says_that_it_is_closed(trace):
    trace.close()
    trace.close()
    with pytest.raises(StorageError, match="is closed; open the trace again"):
        trace.embeddings()


indices = st.one_of(
    st.integers(-6, 5),
    st.builds(
        slice, st.none() | st.integers(-7, 7), st.none() | st.integers(-7, 7), st.none() | st.sampled_from([1, 2, -1])
    ),
    st.just(Ellipsis),
    st.just([0]),
)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=4), indices | st.lists(indices, max_size=5).map(tuple))
@settings(max_examples=500)
def test_a_block_holds_what_numpy_would_index(shape, index):
    array = np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)
    try:
        expected = array[index]
    except IndexError:
        with pytest.raises(IndexError):
            _ = _indexed(array, index)
        return
    np.testing.assert_array_equal(_indexed(array, index), expected)


def _indexed(array: np.ndarray, index: object) -> np.ndarray:
    block = block_for(array.shape, index)
    columns = array.shape[-1]
    return array.reshape(-1)[block.first * columns : block.last * columns].reshape(block.shape)[block.rest]


@given(arrays(), st.data(), st.sampled_from(FORMATS))
def test_parts_of_tensors_are_what_numpy_would_index(tmp_path_factory, array, data, format):
    folder = tmp_path_factory.mktemp("parts")
    storage = TraceStorage(folder / "traces", catalogue=folder / "c")
    index = data.draw(
        st.tuples(
            *(st.integers(0, size - 1) | st.just(slice(None)) if size else st.just(slice(None)) for size in array.shape)
        )
    )
    with storage.open_trace(storage.create_trace({}, {"x": array}, format=format)) as trace:
        assert same_values(array[index], trace.stored("x", index))


def spoil(text: bytes) -> bytes:
    """Numbers that are none any more, in the same brackets."""
    return text[:12] + bytes(ord("x") if byte in b"0123456789.-" else byte for byte in text[12:])


def test_reading_a_tensor_or_a_head_of_json_parses_nothing_else(storage):
    document, tensors = small_trace(prompt=4, generated=5, heads=3)
    text = storage.path_of(storage.create_trace(document, tensors)).read_bytes()
    head_start = text.index(b'"attention_weights":{"layer_0":{"data":') + len(
        b'"attention_weights":{"layer_0":{"data":'
    )
    head_end = text.index(b'"', head_start)
    heads = text[head_start:head_end].split(b"]],[[")
    assert len(heads) == 3
    whole = text[: text.index(b'"token_embeddings":{"data":', text.index(b'"model_data":{"tok'))]
    path = storage.directory / "spoilt.json"
    path.write_bytes(
        spoilt_outside(text, b'"token_embeddings":{"data":', after=len(whole) - 1).replace(
            text[head_start:head_end], b"]],[[".join([spoil(heads[0]), heads[1], spoil(heads[2])])
        )
    )
    with storage.open_trace("spoilt") as trace:
        np.testing.assert_array_equal(trace.attention(0, 1), tensors["attention_weights.layer_0"][0, 1])
        np.testing.assert_array_equal(trace.attention(1), tensors["attention_weights.layer_1"][0])
        for name in ("token_embeddings", "attention_weights.layer_0"):
            with pytest.raises(TraceUnreadableError, match=f"The tensor {name} of .* cannot be read"):
                trace.tensor(name)


def spoilt_outside(text: bytes, key: bytes, after: int) -> bytes:
    """A document with the numbers of one tensor spoilt."""
    start = text.index(key, after) + len(key)
    end = text.index(b'"', start)
    return text[:start] + spoil(text[start:end]) + text[end:]


def test_reading_one_head_of_the_compact_format_needs_only_its_bytes(storage):
    document, tensors = small_trace(heads=3)
    path = storage.path_of(storage.create_trace(document, tensors, format="safetensors"))
    with storage.open_trace(path.stem) as trace:
        content = path.read_bytes()
        place = content.index(tensors["attention_weights.layer_1"][0, 1].tobytes())
        os.truncate(path, place + tensors["attention_weights.layer_1"][0, 1].nbytes)
        np.testing.assert_array_equal(trace.attention(1, 1), tensors["attention_weights.layer_1"][0, 1])
        with pytest.raises(TraceUnreadableError, match=r"attention_weights\.layer_1 .* the file has become shorter"):
            trace.attention(1, 2)


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_cut_while_it_is_open_is_an_error_not_a_crash(storage, format):
    path = storage.path_of(storage.create_trace(*small_trace(), format=format))
    with storage.open_trace(path.stem) as trace:
        os.truncate(path, 100)
        with pytest.raises(TraceUnreadableError, match="the file has become shorter"):
            trace.activation(1, "post_mlp")
        with pytest.raises(TraceUnreadableError):
            trace.whole()


@pytest.mark.parametrize("dtype", [None, "float16", "bfloat16"])
@pytest.mark.parametrize(("prompt", "generated"), [(3, 4), (1, 1), (2, 0)])
def test_both_formats_give_the_same_document_and_the_same_steps(storage, dtype, prompt, generated):
    document, tensors = small_trace(prompt, generated)
    ids = [storage.create_trace(document, tensors, format=format, steps=True, dtype=dtype) for format in FORMATS]
    text, compact = (storage.load_trace(trace_id) for trace_id in ids)
    assert {**text, "trace_id": "", "timestamp": ""} == {**compact, "trace_id": "", "timestamp": ""}
    assert list(text) == list(compact)
    for trace_id in ids:
        with storage.open_trace(trace_id) as trace:
            assert trace.steps == len(text["intermediate_steps"])
            for number, written in enumerate(text["intermediate_steps"]):
                view = trace.step(number)
                assert list(view) == list(written)
                assert (view["step"], view["token"]) == (written["step"], written["token"])
                for name in view.names():
                    node = written
                    for part in name.split("."):
                        node = node[part]
                    assert list(view.tensor(name).shape) == node["shape"]
                    np.testing.assert_array_equal(view[name], trace.tensor(name, trace_index(view, name)))
                    # the same digits: float16 as text gives the float16 value again
                    stored = np.array(node["data"], np.float64).astype(trace.stored(name).dtype).astype(np.float32)
                    np.testing.assert_array_equal(view[name], stored.reshape(node["shape"]))


def trace_index(view, name):
    return view._places[name]


def test_a_step_has_its_groups_as_nested_arrays(trace):
    _, tensors = small_trace()
    view = trace.step(2)
    assert list(view) == [
        "step",
        "token",
        "token_embeddings",
        "output_logits",
        "attention_weights",
        "layer_activations",
    ]
    assert len(view) == 6
    assert view["token"] == 102
    np.testing.assert_array_equal(
        view["attention_weights"]["layer_1"], tensors["attention_weights.layer_1"][:, :, 4:5, :5]
    )
    np.testing.assert_array_equal(
        view["layer_activations"]["layer_0"]["post_attn"], tensors["layer_activations.layer_0.post_attn"][:, 4:5]
    )
    np.testing.assert_array_equal(
        view["layer_activations.layer_0"]["post_attn"], view["layer_activations.layer_0.post_attn"]
    )


part = st.integers(0, 3) | st.builds(slice, st.integers(0, 5), st.integers(0, 5)) | st.just(slice(None))


@given(st.data(), st.integers(0, 3), st.lists(part, max_size=4).map(tuple))
@settings(max_examples=200)
def test_parts_of_a_steps_tensors_are_what_numpy_would_index(tmp_path_factory, data, step, index):
    document, tensors = small_trace()
    storage = TraceStorage(tmp_path_factory.mktemp("traces"), catalogue=":memory:")
    with storage.open_trace(storage.create_trace(document, tensors, format="safetensors")) as trace:
        view = trace.step(step)
        name = data.draw(st.sampled_from(view.names()))
        whole = view.tensor(name)
        assert view.shape(name) == whole.shape
        try:
            expected = whole[index]
        except IndexError:
            with pytest.raises(IndexError):
                view.tensor(name, index)
        else:
            np.testing.assert_array_equal(view.tensor(name, index), expected)


@given(st.dictionaries(names, arrays(), min_size=1, max_size=4), st.text(), st.dictionaries(st.text(), st.text()))
@settings(max_examples=60)
def test_json_to_compact_and_back_keeps_document_and_values(tmp_path_factory, tensors, prompt, metadata):
    folder = tmp_path_factory.mktemp("round")
    storage = TraceStorage(folder / "traces", catalogue=folder / "c")
    trace_id = storage.create_trace({"prompt": prompt, "metadata": metadata}, tensors)
    first = storage.path_of(trace_id).read_bytes()
    with storage.open_trace(trace_id) as trace:
        compact = trace.to_safetensors(folder / f"{trace_id}.safetensors")
    with Trace.open(compact) as trace:
        for name, array in tensors.items():
            assert same_values(array, trace.stored(name))
        again = trace.to_json(folder / f"{trace_id}.json")
    assert again.read_bytes() == first


@pytest.mark.parametrize("steps", [False, True])
@pytest.mark.parametrize("dtype", [None, "bfloat16", "float16"])
def test_conversions_beside_the_file_keep_every_byte(storage, dtype, steps):
    trace_id = storage.create_trace(*small_trace(), dtype=dtype, steps=steps)
    text = storage.path_of(trace_id)
    first = text.read_bytes()
    with storage.open_trace(trace_id) as trace:
        compact = trace.to_safetensors()
    assert compact == text.with_suffix(".safetensors")
    text.unlink()
    with storage.open_trace(trace_id) as trace:
        assert trace.format == "safetensors"
        assert trace.to_json(steps=steps) == text
    assert text.read_bytes() == first
    with Trace.open(text) as trace:  # in place of itself
        trace.to_json(steps=not steps)
        trace.to_json(steps=steps)
    assert text.read_bytes() == first


@pytest.mark.parametrize("steps", [False, True])
def test_steps_stay_as_they_were_asked_for(storage, steps):
    text = storage.path_of(storage.create_trace(*small_trace(), steps=steps))
    first = text.read_bytes()
    assert (b'"intermediate_steps":[' in first) == steps
    with Trace.open(text) as trace:
        trace.to_json()
        compact = trace.to_safetensors()
    assert text.read_bytes() == first
    text.unlink()
    with Trace.open(compact) as trace:
        trace.to_json()
    assert text.read_bytes() == first


def test_a_conversion_to_a_narrower_dtype(storage):
    document, tensors = small_trace()
    tensors["large"] = np.array([[1e30]], np.float32)
    with storage.open_trace(storage.create_trace(document, tensors)) as trace:
        with Trace.open(trace.to_safetensors(dtype="bfloat16")) as narrow:
            assert narrow.dtype("large") == "bfloat16"
            assert narrow.document["data_info"]["tensors"]["large"]["dtype"] == "torch.bfloat16"
        with pytest.raises(SettingInvalidError, match="large holds values too large for float16"):
            trace.to_safetensors(dtype="float16")
        with pytest.raises(SettingInvalidError, match="cannot be stored"):
            trace.to_safetensors(dtype="int8")
        with pytest.raises(StorageError, match=r"There is no folder .*make it"):
            trace.to_json(storage.directory / "nowhere" / "x.json")
    assert [name for name in os.listdir(storage.directory) if name.startswith(".")] == []


def test_our_own_file_printed_anew_by_another_program_is_the_same_trace(storage):
    document, tensors = small_trace()
    trace_id = storage.create_trace(document, tensors, steps=True)
    loaded = storage.load_trace(trace_id)
    (storage.directory / "anew.json").write_text(json.dumps(loaded, indent=2))
    assert TraceFile(storage.directory / "anew.json").scan().steps == []  # they are views, as they were
    with storage.open_trace("anew") as trace:
        for name, array in tensors.items():
            np.testing.assert_array_equal(trace.tensor(name), array)
        np.testing.assert_array_equal(trace.step(1)["output_logits"], tensors["output_logits"][:, 1:2])
        trace.to_json(steps=True)
    first, again = (storage.path_of(name).read_bytes() for name in (trace_id, "anew"))
    assert again == first.replace(trace_id.encode(), b"anew", 1)


def test_an_older_file_is_read_without_harm(storage):
    document = older_document()
    document["model_data"]["token_embeddings"]["data"][0][0][0] = float("nan")
    document["metadata"]["loss"] = float("inf")
    storage.directory.mkdir()
    write_json(storage.directory / "old.json", document)
    with storage.open_trace("old") as trace:
        np.testing.assert_array_equal(trace.embeddings(), [[np.nan, -2], [0.25, 3], [4, 5]])
        np.testing.assert_array_equal(trace.attention(0, 0), [[1, 0, 0], [0.5, 0.5, 0], [0.25, 0.25, 0.5]])
        assert trace.names() == ["token_embeddings", "attention_weights.layer_0"]
        assert trace.steps == 2
        np.testing.assert_array_equal(trace.step(0)["token_embeddings"], [[[9, 8]]])
        np.testing.assert_array_equal(trace.step(1)["attention_weights"]["layer_0"], [[[[1]]]])
    loaded = storage.load_trace("old")
    assert loaded["trace_id"] == "old"
    assert loaded["intermediate_steps"] == document["intermediate_steps"]
    assert storage.get_trace_summary("old")["data_info"]["num_tokens"] == 3


def test_an_older_file_keeps_its_own_steps_when_converted(storage):
    storage.directory.mkdir()
    document = older_document()
    write_json(storage.directory / "old.json", document)
    with storage.open_trace("old") as trace:
        trace.to_safetensors()
    (storage.directory / "old.json").unlink()
    with storage.open_trace("old") as trace:
        assert trace.names() == ["token_embeddings", "attention_weights.layer_0"]
        assert trace.steps == 2
        np.testing.assert_array_equal(trace.step(1)["token_embeddings"], [[[7, 6]]])
        trace.to_json()
    found = json.loads((storage.directory / "old.json").read_bytes())
    assert found["intermediate_steps"][1] == document["intermediate_steps"][1]
    assert found["model_data"]["attention_weights"] == {
        "layer_0": document["model_data"]["attention_weights"]["layer_0"]
    }


@pytest.mark.parametrize("steps", [3, "x", {"a": 1}, [None, 1, "x"], [[1.0]], [{}]])
def test_odd_steps_of_older_files_do_no_harm(storage, steps):
    storage.directory.mkdir()
    write_json(storage.directory / "old.json", older_document(intermediate_steps=steps))
    with storage.open_trace("old") as trace:
        for number in range(trace.steps):
            view = trace.step(number)
            assert all(view.tensor(name) is not None for name in view.names())
    assert storage.load_trace("old")["intermediate_steps"] == steps
