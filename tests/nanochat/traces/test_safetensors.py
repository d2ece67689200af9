"""The compact format: readable by the safetensors library, and checked against every kind of damage."""

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from nanochat.errors import TraceUnreadableError
from nanochat.trace_storage import TraceStorage
from nanochat.traces.safetensors import scan_trace
from tests.nanochat.trace_examples import arrays, names, same_values, small_trace


@pytest.fixture
def storage(tmp_path):
    return TraceStorage(tmp_path / "traces", format="safetensors", catalogue=tmp_path / "c.sqlite3")


def scan(path: Path) -> Any:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return scan_trace(descriptor, path.stat().st_size)
    finally:
        os.close(descriptor)


def header_of(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length])


def with_header(path: Path, header: Any, data: bytes) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_safetensors_library_reads_the_file(storage, dtype):
    document, tensors = small_trace()
    path = storage.path_of(storage.create_trace(document, tensors, dtype=dtype))
    loaded = safetensors.torch.load_file(path)
    assert set(loaded) == set(tensors)
    for name, array in tensors.items():
        expected = torch.from_numpy(array).to(getattr(torch, dtype))
        assert loaded[name].dtype == expected.dtype
        assert torch.equal(loaded[name], expected), name
    with safetensors.safe_open(path, "numpy") as file:
        stored = json.loads(file.metadata()["nanoscope.trace"])
    assert stored["prompt"] == document["prompt"]
    assert stored["data_info"]["tensors"]["token_embeddings"]["dtype"] == f"torch.{dtype}"


def test_nothing_is_stored_twice_and_steps_are_still_there(storage):
    document, tensors = small_trace()
    with_steps = storage.path_of(storage.create_trace(document, tensors, steps=True))
    without = storage.path_of(storage.create_trace(document, tensors, steps=False))
    assert abs(with_steps.stat().st_size - without.stat().st_size) <= 16
    for path in (with_steps, without):
        with storage.open_trace(path.stem) as trace:
            assert trace.steps == 4
            np.testing.assert_array_equal(trace.step(2)["output_logits"], tensors["output_logits"][:, 2:3])


@given(st.dictionaries(names, arrays(), max_size=5))
def test_any_tensors_come_back_bit_for_bit(tmp_path_factory, tensors):
    folder = tmp_path_factory.mktemp("compact")
    storage = TraceStorage(folder / "traces", format="safetensors", catalogue=folder / "c")
    with storage.open_trace(storage.create_trace({}, tensors)) as trace:
        assert sorted(trace.names()) == sorted(tensors)
        for name, array in tensors.items():
            read = trace.stored(name)
            assert same_values(array, read)
            assert read.tobytes() == array.tobytes()


def test_a_file_of_another_length_is_unreadable(storage, tmp_path):
    content = storage.path_of(storage.create_trace(*small_trace(layers=1))).read_bytes()
    path = tmp_path / "cut.safetensors"
    for length in [*range(0, len(content), 97), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(TraceUnreadableError):
            scan(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(TraceUnreadableError, match="bytes where its header describes"):
        scan(path)


TRACE = {"__metadata__": {"nanoscope.trace": "{}"}}
ENTRY = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({}, "holds no 'nanoscope.trace'"),
        ({"__metadata__": {"nanoscope.trace": 3}}, "holds no 'nanoscope.trace'"),
        ({"__metadata__": {"nanoscope.trace": "{"}}, "document is not JSON"),
        ({"__metadata__": {"nanoscope.trace": "[]"}}, "document is not an object"),
        (b"[]", "header is not an object"),
        (b"{", "header is not JSON"),
        (b"\xff", "header is not JSON"),
        ({**TRACE, "x": 3}, "tensor x wrongly"),
        ({**TRACE, "x": {**ENTRY, "dtype": "F8"}}, "tensor x wrongly"),
        ({**TRACE, "x": {**ENTRY, "dtype": []}}, "tensor x wrongly"),
        ({**TRACE, "x": {**ENTRY, "shape": [2]}}, "tensor x wrongly"),
        ({**TRACE, "x": {**ENTRY, "shape": [-1]}}, "tensor x wrongly"),
        ({**TRACE, "x": {**ENTRY, "shape": [1.0]}}, "tensor x wrongly"),
        ({**TRACE, "x": {**ENTRY, "shape": "1"}}, "tensor x wrongly"),
        ({**TRACE, "x": {**ENTRY, "data_offsets": [0, 4, 8]}}, "tensor x wrongly"),
        ({**TRACE, "x": {**ENTRY, "data_offsets": [8, 12]}}, "ends before the tensor x"),
        ({**TRACE, "x": {**ENTRY, "shape": [2**60], "data_offsets": [0, 2**62]}}, "tensor x wrongly"),
    ],
)
def test_a_wrong_header_is_refused_with_a_reason(tmp_path, header, reason):
    with_header(tmp_path / "t.safetensors", header, b"\0" * 4)
    with pytest.raises(TraceUnreadableError, match=reason):
        scan(tmp_path / "t.safetensors")


def test_a_header_longer_than_the_file_is_not_read(tmp_path):
    (tmp_path / "t.safetensors").write_bytes(struct.pack("<Q", 2**63) + b"{}")
    with pytest.raises(TraceUnreadableError, match="longer than the file"):
        scan(tmp_path / "t.safetensors")


def test_the_header_is_aligned_and_says_what_the_tensors_are(storage):
    for number in range(8):
        document = {"prompt": 'odd \u2028 "text"' + "x" * number}
        path = storage.path_of(storage.create_trace(document, {"x": np.zeros((1, 2), np.int32)}))
        (length,) = struct.unpack("<Q", path.read_bytes()[:8])
        assert length % 8 == 0
        assert header_of(path)["x"] == {"dtype": "I32", "shape": [1, 2], "data_offsets": [0, 8]}
