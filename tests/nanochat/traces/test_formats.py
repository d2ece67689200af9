"""A format that has a row in the table is written, listed, read, converted and deleted as every other is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nanochat.demo.arguments import parse_arguments
from nanochat.trace_storage import TraceStorage
from nanochat.traces.formats import FORMATS, format_of
from nanochat.traces.json.format import JSON
from nanochat.traces.safetensors import SAFETENSORS
from nanochat.traces.size import LARGE, size_notice
from nanochat.traces.tensors import Positions, TensorInfo
from tests.nanochat.trace_examples import small_trace


@pytest.fixture(params=[*FORMATS, "toy"])
def format(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each of the table's, and a new one."""
    if request.param == "toy":
        monkeypatch.setitem(FORMATS, "toy", replace(SAFETENSORS, name="toy", title="a toy"))
    return request.param


def test_a_format_of_the_table_does_all_that_a_format_does(tmp_path: Path, format: str) -> None:
    storage = TraceStorage(tmp_path / "traces", format=format, catalogue=":memory:")
    document, tensors = small_trace()
    trace_id = storage.create_trace(document, tensors)
    fresh = TraceStorage(storage.directory, catalogue=":memory:")
    (entry,) = fresh.list_entries()
    assert (entry.trace_id, entry.format, entry.readable) == (trace_id, format, True)
    with fresh.open_trace(trace_id) as trace:
        assert trace.format == format
        part = trace.tensor("attention_weights.layer_1", (0, 1, slice(2, 4)))
        assert np.array_equal(part, tensors["attention_weights.layer_1"][0, 1, 2:4])
        copies = [trace.convert(other) for other in FORMATS]
    assert trace.path in copies and {path.suffix for path in copies} == {f".{name}" for name in FORMATS}
    with fresh.open_trace(trace_id) as trace:
        assert FORMATS[trace.format].compact
    assert len(fresh.list_entries()) == 1
    fresh.delete_trace(trace_id)
    assert not any(path.exists() for path in copies)


def test_a_damaged_file_of_ours_may_be_deleted_in_every_format(tmp_path: Path, format: str) -> None:
    storage = TraceStorage(tmp_path / "traces", format=format, catalogue=":memory:")
    path = storage.path_of(storage.create_trace(*small_trace()))
    path.write_bytes(path.read_bytes()[:-50])
    assert storage.list_traces() == []
    storage.delete_trace(path.stem)
    assert not path.exists()


def test_the_demo_and_what_is_said_of_sizes_know_every_format(format: str) -> None:
    assert parse_arguments(["--format", format], "demo").format == format
    infos = {"token_embeddings": TensorInfo((1, 1, LARGE), "float32")}
    assert f" as {FORMATS[format].title} " in size_notice(infos, Positions(1, 1), format).replace(";", " ")


def test_a_file_without_an_ending_of_ours_is_read_as_json(tmp_path: Path) -> None:
    assert format_of(tmp_path / "x.safetensors") is SAFETENSORS
    assert format_of(tmp_path / "x.txt") is format_of(tmp_path / "x") is JSON
