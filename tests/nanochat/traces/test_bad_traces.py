"""A trace that is odd, in whatever way, costs itself alone: every other is listed and read as before."""

import contextlib
import json
import os
from typing import Any

import pytest

from nanochat.errors import NanoscopeError
from nanochat.trace_storage import TraceStorage
from nanochat.traces.catalogue import FileKey, Row
from nanochat.traces.rows import read_row
from tests.nanochat.trace_examples import older_document, small_trace

HUGE = 10**400
DEEP: Any = json.loads("[" * 500 + "]" * 500)
ODD: dict[str, Any] = {
    "huge integer": {"metadata": {"x": HUGE}},
    "huge negative integer": {"metadata": {"x": [-HUGE]}},
    "integer of 20 digits": {"metadata": {"x": 2**64}},
    "integer that Python does not write": {"metadata": {"x": "DIGITS"}},
    "no numbers": {"metadata": {"x": [float("nan"), float("inf"), float("-inf")]}},
    "deep": {"metadata": {"x": DEEP}},
    "lone surrogate": {
        "metadata": {"\ud83d": "\udc00"},
        "prompt": "\ud83d",
        "category": "\ud83d",
        "timestamp": "\ud83d",
    },
    "zero bytes": {"metadata": {"\0": "\0"}, "prompt": "\0", "response": "\0", "category": "\0"},
    "metadata is a list": {"metadata": [1]},
    "texts are numbers": {"prompt": 1, "response": 2.5, "category": 3, "timestamp": 4},
    "texts are lists": {"prompt": [], "response": {}, "category": [], "timestamp": {}},
    "tokens are huge": {"tokens": {"input_tokens": [HUGE, -1], "output_tokens": [2**64]}},
    "tokens are none": {"tokens": {"input_tokens": [None, "x", [1]], "output_tokens": {"0": 1}}},
    "tokens are a number": {"tokens": 17},
    "the info is odd": {"data_info": {"tensors": 7, "num_layers": HUGE, "intermediate_steps": "x"}},
    "the info is a list": {"data_info": ["tensors"]},
    "the model is a huge number": {"model": HUGE, "generation": HUGE},
    "timings are huge": {"generation": {"timings": {"prefill_seconds": HUGE, "decode_seconds": HUGE}}},
    "analysis is odd": {"analysis": {"logits": HUGE, "attention": [HUGE]}},
    "steps are odd": {"intermediate_steps": [HUGE, None, {"step": HUGE}, [[1]]]},
    "time of the year 0": {"timestamp": "0000-00-00T00:00:00Z"},
    "time far away": {"timestamp": "9999-12-31T23:59:59.999999-23:59"},
    "the id is another's": {"trace_id": HUGE},
}


def text_of(changes: dict[str, Any]) -> str:
    text = json.dumps(older_document(**changes))
    return text.replace('"DIGITS"', "1" + "0" * 5000)


@pytest.mark.parametrize("name", ODD)
def test_an_odd_trace_costs_itself_alone(tmp_path, name):
    storage = TraceStorage(tmp_path / "traces", catalogue=tmp_path / "catalogue")
    good = storage.create_trace(*small_trace())
    (storage.directory / "odd.json").write_text(text_of(ODD[name]), encoding="utf-8", errors="surrogatepass")
    for look in (storage, TraceStorage(storage.directory, catalogue=storage.catalogue.path)):
        look.scan()
        for _ in range(2):  # from the file, then as the catalogue has it
            read_all(look)
        assert good in look.list_traces()
        assert {entry.trace_id for entry in look.list_entries()} == {good, "odd"}
        assert look.get_trace_summary(good)["prompt"] == "The capital of France is"
    again = TraceStorage(storage.directory, catalogue=storage.catalogue.path)
    assert {entry.trace_id for entry in again.list_entries()} == {good, "odd"}


def read_all(storage: TraceStorage) -> None:
    """Whatever there is to read of the odd one: it comes, or an error does that is meant for a person."""
    for read in (storage.get_trace_summary, storage.load_trace):
        with contextlib.suppress(NanoscopeError):
            read("odd")
    with contextlib.suppress(NanoscopeError), storage.open_trace("odd") as trace:
        for tensor in trace.names():
            trace.tensor(tensor)
        for step in range(trace.steps):
            list(trace.step(step))


@pytest.mark.parametrize("entry", [b"nonsense", b"[]", b"{}", b'{"prompt": 1, "other": 2}', b"\xff"])
def test_an_odd_row_of_the_catalogue_costs_itself_alone(tmp_path, entry):
    storage = TraceStorage(tmp_path / "traces", catalogue=tmp_path / "catalogue")
    ids = [storage.create_trace(*small_trace()) for _ in range(2)]
    file = storage.path_of(ids[0])
    storage.catalogue.put(os.fsencode(storage.directory), [Row(file.name, FileKey.of(file.stat()), entry)])
    again = TraceStorage(storage.directory, catalogue=storage.catalogue.path)
    assert again.list_traces() == ids[::-1]
    assert again.get_trace_summary(ids[0])["prompt"] == "The capital of France is"


@pytest.mark.parametrize("error", [TypeError, KeyError, AttributeError, RecursionError, MemoryError])
def test_an_error_that_nobody_thought_of_costs_one_file(tmp_path, monkeypatch, error):
    def read(file):
        if file.path.stem == "odd":
            raise error("unheard of")
        return read_row(file)

    storage = TraceStorage(tmp_path / "traces", catalogue=tmp_path / "catalogue")
    good = storage.create_trace(*small_trace())
    (storage.directory / "odd.json").write_text("{}")
    monkeypatch.setattr("nanochat.traces.listing.read_row", read)
    again = TraceStorage(storage.directory, catalogue=":memory:")
    assert {entry.trace_id: entry.readable for entry in again.list_entries()} == {good: True, "odd": False}
