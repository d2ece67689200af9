"""A caller's metadata: exact in every reader, or refused before anything is saved."""

import json
import uuid
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanochat.errors import SettingInvalidError
from nanochat.trace_storage import TraceStorage
from nanochat.traces.metadata import DEPTH, DIGITS, LARGEST_BYTES, checked_metadata
from tests.nanochat.trace_examples import small_trace

FORMATS = ("json", "safetensors")
EXACT = {
    "uuid": uuid.UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6").int,
    "above a double": 2**53 + 1,
    "64 bits": [2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1],
    "many digits": 10**DIGITS - 1,
    "negative": -(10**DIGITS) + 1,
    "nested": [{"deep": [10**400]}],
    "signed zero": -0.0,
    "tiny": 5e-324,
    "huge": 1.7976931348623157e308,
    "text": "é 😀 \u2028 \x00",
    "key 😀": None,
    "bool": True,
}
REFUSED: list[tuple[Any, str]] = [
    ({"x": 10**DIGITS}, r"metadata\.x is a whole number of more than 1,000 digits"),
    ({"x": -(10**5000)}, r"metadata\.x is a whole number of more than 1,000 digits"),
    ({"x": [{"y": float("nan")}]}, r"metadata\.x\[0\]\.y is nan"),
    ({"x": float("-inf")}, r"metadata\.x is -inf"),
    ({"x": np.float32("inf")}, r"metadata\.x is inf"),
    ({"x": "half \ud83d"}, r"metadata\.x has half a character at 5"),
    ({"\ud83d": 1}, "metadata has half a character at 0"),
    ({"x": {1: "a", "1": "b"}}, r"metadata\.x has the key 1, and JSON's keys are texts: use '1'"),
    ({None: 1}, "metadata has the key None"),
    ({(1, 2): 1}, "metadata has the key"),
    ({"x": {1, 2}}, r"metadata\.x is of the type set"),
    ({"x": b"bytes"}, r"metadata\.x is of the type bytes"),
    ({"x": uuid.uuid4()}, r"metadata\.x is of the type UUID"),
    ({"x": np.complex64(1)}, r"metadata\.x is of the type complex"),
    ({"x": np.longdouble(1)}, r"metadata\.x is of the type longdouble"),
    (["x"], "metadata must be names with values, not"),
]


def readings(storage: TraceStorage, trace_id: str) -> list[Any]:
    """A trace's metadata by every way of reading it."""
    fresh = TraceStorage(storage.directory, catalogue=":memory:")
    with storage.open_trace(trace_id) as trace, fresh.open_trace(trace_id) as anew:
        read = [trace.document["metadata"], anew.document["metadata"], trace.whole()["metadata"]]
        for convert, name in ((trace.to_json, "_a.json"), (trace.to_safetensors, "_b.safetensors")):
            convert(storage.directory / f"{trace_id}{name}")  # a name of its own: an export replaces no other trace
            read.append(fresh.get_trace_summary(f"{trace_id}{name.split('.')[0]}")["metadata"])
    fresh.list_entries()
    read += [known.load_trace(trace_id)["metadata"] for known in (storage, fresh)]
    return read + [known.get_trace_summary(trace_id)["metadata"] for known in (storage, fresh)]


@pytest.mark.parametrize("format", FORMATS)
def test_it_reads_back_exactly_by_every_way(tmp_path, format):
    storage = TraceStorage(tmp_path / "traces", catalogue=tmp_path / "catalogue")
    document, tensors = small_trace()
    trace_id = storage.create_trace(document | {"metadata": EXACT}, tensors, format=format)
    for found in readings(storage, trace_id):
        assert repr(found) == repr(EXACT)  # 1 and 1.0, 0.0 and -0.0 are equal
    if format == "json":
        assert repr(json.loads(storage.path_of(trace_id).read_text())["metadata"]) == repr(EXACT)


@given(st.recursive(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | st.booleans()
                    | st.integers(2**62, 2**70) | st.integers(-(10**400), 10**400),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
                    max_leaves=6))  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_whatever_is_taken_reads_back_exactly(tmp_path_factory, value):
    storage = TraceStorage(tmp_path_factory.mktemp("traces"), catalogue=":memory:")
    for format in FORMATS:
        trace_id = storage.create_trace({"metadata": {"value": value}}, small_trace()[1], format=format)
        assert all(repr(found) == repr({"value": value}) for found in readings(storage, trace_id))


@pytest.mark.parametrize(("metadata", "message"), REFUSED)
def test_what_json_cannot_hold_exactly_is_refused_by_its_place_and_nothing_is_saved(tmp_path, metadata, message):
    with pytest.raises(SettingInvalidError, match=message):
        checked_metadata(metadata)
    storage = TraceStorage(tmp_path / "traces", catalogue=":memory:")
    with pytest.raises(SettingInvalidError, match=message):
        storage.create_trace({"metadata": metadata}, {})
    assert not storage.directory.exists()


def test_tuples_arrays_and_numpys_numbers_become_what_is_read_back():
    given_ = {"a": (1, 2), "b": np.int64(3), "c": np.float32(0.1), "d": np.arange(3), "e": np.bool_(True)}
    found = checked_metadata(OrderedDict(given_ | {"f": np.uint64(2**64 - 1), "g": np.str_("text")}))
    assert found == {
        "a": [1, 2], "b": 3, "c": float(np.float32(0.1)), "d": [0, 1, 2], "e": True, "f": 2**64 - 1, "g": "text",
    }  # fmt: skip
    assert {type(value) for value in found.values()} == {list, int, float, bool, str}


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth - 1):
        value = [value]
    return {"x": value}


def test_depth_and_size_have_limits():
    assert checked_metadata(nested(DEPTH)) == nested(DEPTH)
    with pytest.raises(SettingInvalidError, match=r"nested more than 64 deep"):
        checked_metadata(nested(DEPTH + 1))
    with pytest.raises(SettingInvalidError, match=r"nested more than 64 deep") as refused:
        checked_metadata(nested(5000))
    assert len(str(refused.value)) < 300
    endless: dict[str, Any] = {}
    endless["x" * 1000] = endless
    with pytest.raises(SettingInvalidError, match=r"nested more than 64 deep"):
        checked_metadata(endless)
    assert checked_metadata({"x": "y" * (LARGEST_BYTES - 8)})
    with pytest.raises(SettingInvalidError, match=r"metadata has 2,097,153 bytes as JSON and may have 2,097,152"):
        checked_metadata({"x": "y" * (LARGEST_BYTES - 7)})


@pytest.mark.parametrize("format", FORMATS)
def test_a_document_that_could_not_be_read_back_is_not_saved(tmp_path, format, monkeypatch):
    limits = {"json.writer": "LARGEST_DOCUMENT", "safetensors": "LARGEST_DOCUMENT"}
    for module, name in limits.items():
        monkeypatch.setattr(f"nanochat.traces.{module}.{name}", 1 << 20)
    storage = TraceStorage(tmp_path / "traces", catalogue=":memory:")
    with pytest.raises(SettingInvalidError, match=r"Without its tensors the trace has 1,\d+,\d+ bytes"):
        storage.create_trace({"prompt": "x" * (1 << 20)}, {}, format=format)
    assert list(storage.directory.iterdir()) == []


def test_a_quote_a_byte_is_too_much_for_a_safetensors_header(tmp_path):
    storage = TraceStorage(tmp_path / "traces", catalogue=":memory:")
    with pytest.raises(SettingInvalidError, match=r"100,000,000|99,999,992"):
        storage.create_trace({"prompt": '"' * (30 << 20)}, {}, format="safetensors")
    assert list(storage.directory.iterdir()) == []
