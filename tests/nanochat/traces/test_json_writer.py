"""The JSON layout: what is written is what the format says, for any tensors and any text."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanochat.errors import SettingInvalidError
from nanochat.traces.atomic_file import Output
from nanochat.traces.content import assemble
from nanochat.traces.document import read_tokens
from nanochat.traces.json.format import JSON
from nanochat.traces.json.writer import document_json
from nanochat.traces.tensors import TensorInfo, dtype_name, nest, step_index
from tests.nanochat.trace_examples import arrays, names, small_trace


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def written(
    path: Path, document: dict[str, Any], tensors: dict[str, np.ndarray], *, steps: bool = False
) -> tuple[bytes, Any]:
    """The bytes of a JSON trace, and the index that the writer gives."""
    infos = {name: TensorInfo(array.shape, dtype_name(array.dtype)) for name, array in tensors.items()}
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        output = Output(descriptor)
        index = JSON.write(output, assemble(document, tensors, infos, steps=steps))
        output.flush()
    finally:
        os.close(descriptor)
    return path.read_bytes(), index


def parsed(text: bytes) -> dict[str, Any]:
    return json.loads(text, parse_constant=refuse)


def test_the_keys_stand_in_file_order_metadata_first_tensors_last(tmp_path):
    document, tensors = small_trace()
    shuffled = {
        "own_key": 1,
        **dict(reversed(document.items())),
        "schema_version": 1,
        "trace_id": "t",
        "timestamp": "now",
    }
    found = parsed(written(tmp_path / "t", shuffled, dict(reversed(tensors.items())), steps=True)[0])
    assert list(found) == [
        "schema_version", "trace_id", "timestamp", "prompt", "response", "category", "metadata", "tokens", "analysis",
        "own_key", "data_info", "model_data", "intermediate_steps",
    ]  # fmt: skip
    assert list(found["model_data"]) == ["token_embeddings", "output_logits", "attention_weights", "layer_activations"]


def test_a_tensor_is_nested_lists_with_shape_and_dtype(tmp_path):
    document, tensors = small_trace()
    found = parsed(written(tmp_path / "t", document, tensors)[0])
    assert found["prompt"] == document["prompt"]
    assert found["tokens"] == document["tokens"]
    site = found["model_data"]["layer_activations"]["layer_1"]["post_mlp"]
    expected = tensors["layer_activations.layer_1.post_mlp"]
    assert list(site) == ["data", "shape", "dtype"]
    assert site["shape"] == [1, 6, 5]
    assert site["dtype"] == "torch.float32"
    np.testing.assert_array_equal(np.array(site["data"], np.float32), expected)


def test_data_info_has_shapes_dtypes_and_counts(tmp_path):
    document, tensors = small_trace(prompt=3, generated=4, layers=2)
    tensors["layer_activations.layer_2.residual"] = np.zeros((1, 6, 5), np.float16)  # after the last layer
    info = parsed(written(tmp_path / "t", document, tensors)[0])["data_info"]
    assert info["tensors"]["layer_activations.layer_2.residual"] == {"shape": [1, 6, 5], "dtype": "torch.float16"}
    assert {key: info[key] for key in info if key != "tensors"} == {
        "num_layers": 2, "num_tokens": 6, "num_steps": 4, "intermediate_steps": False,
    }  # fmt: skip


@given(st.dictionaries(names, arrays(), max_size=5))
def test_any_tensors_become_valid_json_at_the_places_the_index_says(tmp_path_factory, tensors):
    text, index = written(tmp_path_factory.mktemp("json") / "t", {"trace_id": "t"}, tensors)
    model_data = parsed(text)["model_data"]
    assert set(model_data) == set(tensors)
    for name, array in tensors.items():
        place = index.tensors[name]
        data = json.loads(text[place.start : place.end])
        # json cannot tell NaN from NaN, so compare the two parses as text
        assert json.dumps(data) == json.dumps(model_data[name]["data"])
        assert np.array(data, dtype=np.float64).shape == array.shape or not array.size


def expected_steps(document: dict[str, Any], tensors: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Each step's tensors, by the definition: the prefill's rows, then one row each, attention to the keys so far."""
    prompt, generated = len(document["tokens"]["input_tokens"]), document["tokens"]["output_tokens"]
    steps = []
    for step in range(max(len(generated), 1)):
        rows = slice(0, prompt) if step == 0 else slice(prompt - 1 + step, prompt + step)
        views = {}
        for name, array in tensors.items():
            if name.startswith("attention_weights"):
                views[name] = array[:, :, rows, : prompt + step]
            elif name.startswith("output_logits"):
                row = step if array.shape[1] == len(generated) else prompt - 1 + step
                if array.shape[1]:
                    views[name] = array[:, row : row + 1]
            else:
                views[name] = array[:, rows]
        steps.append({"token": generated[step] if generated else None, "views": views})
    return steps


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("prompt", "generated", "logits"),
    [(3, 4, "own"), (1, 1, "own"), (1, 3, "own"), (4, 1, "own"), (4, 0, "own"), (3, 4, "all"), (3, 4, "top")],
)
def test_the_steps_are_the_rows_of_the_whole_tensors(tmp_path, prompt, generated, logits, dtype):
    document, tensors = small_trace(prompt, generated)
    positions = prompt + max(generated, 1) - 1
    numbers = np.random.default_rng(1)
    tensors["layer_activations.layer_0.q"] = numbers.standard_normal((1, positions, 2, 3), dtype=np.float32)
    if logits == "all":
        tensors["output_logits"] = numbers.standard_normal((1, positions, 7), dtype=np.float32)
    if logits == "top":
        del tensors["output_logits"]
        tensors["output_logits.values"] = numbers.standard_normal((1, positions, 2), dtype=np.float32)
        tensors["output_logits.indices"] = numbers.integers(0, 9, (1, positions, 2), dtype=np.int32)
        tensors["output_logits.log_sum_exp"] = numbers.standard_normal((1, positions), dtype=np.float32)
    with np.errstate(invalid="ignore"):
        typed = {name: array.astype(np.float32) for name, array in tensors.items()}
    infos = {name: TensorInfo(array.shape, dtype_name(array.dtype)) for name, array in tensors.items()}
    descriptor = os.open(tmp_path / "t", os.O_RDWR | os.O_CREAT)
    output = Output(descriptor)
    JSON.write(output, assemble(document, tensors, infos, steps=True, dtype=dtype))
    output.flush()
    os.close(descriptor)
    found = parsed((tmp_path / "t").read_bytes())
    steps = found["intermediate_steps"]
    assert len(steps) == max(generated, 1)
    for number, (step, expected) in enumerate(zip(steps, expected_steps(document, typed), strict=True)):
        assert step["step"] == number
        assert step["token"] == expected["token"]
        assert nest(dict.fromkeys(expected["views"], 0)) == _names_only(step)
        for name, view in expected["views"].items():
            node: Any = step
            for part in name.split("."):
                node = node[part]
            assert node["shape"] == list(view.shape), (number, name)
            tolerance = 0.01 if dtype == "bfloat16" else 0
            np.testing.assert_allclose(
                np.array(node["data"], np.float32), view, rtol=tolerance, err_msg=f"{number} {name}"
            )


def _names_only(tree: Any) -> Any:
    if "data" in tree:
        return 0
    return {key: _names_only(value) for key, value in tree.items() if key not in ("step", "token")}


def test_steps_of_attention_that_is_not_zero_above_the_diagonal_are_right_all_the_same(tmp_path):
    document, tensors = small_trace(3, 4)
    tensors["attention_weights.layer_0"] = np.random.default_rng(0).random((1, 2, 6, 6), dtype=np.float32)
    tensors["attention_weights.layer_1"][:, :, 0, -1] = -0.0
    steps = parsed(written(tmp_path / "t", document, tensors, steps=True)[0])["intermediate_steps"]
    for step, expected in zip(steps, expected_steps(document, tensors), strict=True):
        for layer in ("layer_0", "layer_1"):
            data = np.array(step["attention_weights"][layer]["data"], np.float32)
            np.testing.assert_array_equal(data, expected["views"][f"attention_weights.{layer}"])


def test_steps_reuse_rows_of_tensors_written_in_many_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("nanochat.traces.json.writer._BLOCK_VALUES", 8)
    monkeypatch.setattr("nanochat.traces.atomic_file._FLUSH_BYTES", 64)
    document, tensors = small_trace(3, 4)
    found = parsed(written(tmp_path / "t", document, tensors, steps=True)[0])
    for step, expected in zip(found["intermediate_steps"], expected_steps(document, tensors), strict=True):
        site = step["layer_activations"]["layer_1"]["post_attn"]["data"]
        np.testing.assert_array_equal(
            np.array(site, np.float32), expected["views"]["layer_activations.layer_1.post_attn"]
        )


def test_memory_stays_bounded_while_writing(tmp_path):
    import tracemalloc

    document, tensors = small_trace(4, 60, layers=1, width=20_000, vocabulary=10)
    tracemalloc.start()
    try:
        text, _ = written(tmp_path / "t", document, {**tensors}, steps=True)
        size = len(text)
        del text
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        infos = {name: TensorInfo(array.shape, dtype_name(array.dtype)) for name, array in tensors.items()}
        with open(tmp_path / "u", "w+b") as file:
            output = Output(file.fileno())
            JSON.write(output, assemble(document, tensors, infos, steps=True))
            output.flush()
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert size > 100 << 20
    assert peak < 24 << 20


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text()
        | st.text(alphabet=st.characters(categories=["Cs"])),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
@settings(max_examples=200)
def test_any_metadata_becomes_valid_json(value):
    found = json.loads(document_json({"value": value}), parse_constant=refuse)
    assert found == {"value": _as_json_can(value)}


def _as_json_can(value: Any) -> Any:
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_as_json_can(item) for item in value]
    if isinstance(value, dict):
        return {_as_json_can(key): _as_json_can(item) for key, item in value.items()}
    return value


def test_numpy_numbers_and_integer_keys_in_metadata_are_stored():
    assert json.loads(document_json({"a": np.float32(0.5), "b": np.int64(3), "c": {1: np.arange(2)}})) == {
        "a": 0.5, "b": 3, "c": {"1": [0, 1]},
    }  # fmt: skip
    assert json.loads(document_json({"huge": 2**70, "n": np.float64("nan"), "inner": {3: "\ud800"}})) == {
        "huge": 2**70, "n": None, "inner": {"3": "\ufffd"},
    }  # fmt: skip


def test_metadata_that_json_cannot_hold_is_refused():
    endless: list[Any] = []
    endless.append(endless)
    for value in (object(), {1, 2}, b"bytes", endless):
        with pytest.raises(SettingInvalidError, match="cannot be stored as JSON"):
            document_json({"value": value})


def test_step_index_knows_no_row_for_tensors_of_other_lengths():
    document, _ = small_trace(3, 4)
    positions = read_tokens(document).positions
    assert step_index("layer_activations.layer_0.post_mlp", (1, 5, 8), positions, 1) is None
    assert step_index("attention_weights.layer_0", (1, 2, 6, 5), positions, 1) is None
    assert step_index("output_logits", (1, 4, 9), positions, 3) == (slice(None), slice(3, 4))
    assert step_index("output_logits", (1, 6, 9), positions, 3) == (slice(None), slice(5, 6))
