"""The structural reader finds every tensor in any layout of the JSON, and calls damaged files damaged."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanochat.errors import TraceUnreadableError
from nanochat.trace_storage import TraceStorage
from nanochat.traces.format import TraceIndex
from nanochat.traces.json.index import scan_trace
from nanochat.traces.trace import Trace
from tests.nanochat.trace_examples import leaf, older_document, small_trace


def scan(path: Path, text: bytes | str) -> TraceIndex:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return scan_trace(descriptor, path.stat().st_size)
    finally:
        os.close(descriptor)


def spans(path: Path, text: bytes | str) -> dict[str, str]:
    index = scan(path, text)
    content = path.read_bytes()
    return {name: content[place.start : place.end].decode() for name, place in index.tensors.items()}


LEAF = '"shape":[2],"dtype":"torch.float32"'


@pytest.mark.parametrize(
    ("model_data", "expected"),
    [
        ('{"a":{"data":[1,2],' + LEAF + "}}", {"a": "[1,2]"}),
        ("{" + LEAF[:0] + '"a":{' + LEAF + ',"data":[1,2]}}', {"a": "[1,2]"}),
        ('{"a":{"data" : [ [1, 2 ] ] , ' + LEAF + "} }", {"a": "[ [1, 2 ] ]"}),
        ('{"a":{"data":\n[\n1\n,\n2\n]\n}\n}', {"a": "[\n1\n,\n2\n]"}),
        ('{"a":{"data":[null,NaN,-1,Infinity]}}', {"a": "[null,NaN,-1,Infinity]"}),
        ('{"a":{"data":[[]],"shape":[1,0]},"b":{"data":[]}}', {"a": "[[]]", "b": "[]"}),
        ('{"a":{"data":null,"shape":null},"b":null,"c":{}}', {}),
        ('{"a":[1,2],"b":{"c":[3]}}', {"a": "[1,2]", "b.c": "[3]"}),
        ('{"a":{"data":[1]},"a":{"data":[2]}}', {"a": "[2]"}),
        ('{"a":{"data":[1],"data":[[2]]}}', {"a": "[[2]]"}),
        ('{"a":{"data":[1]},"a":null}', {}),
        ('{"a":{"data":["]}",1]},"b":{"data":[1]}}', {"a": '["]}",1]', "b": "[1]"}),
        ('{"a":{"data":[[1],[2,"x"]]}}', {"a": '[[1],[2,"x"]]'}),
        ('{"a":{"data":[1,[2],"x"]},"b":{"data":[null,[],""]}}', {"a": '[1,[2],"x"]', "b": '[null,[],""]'}),
        ('{"a":{"data":[[1],2]}}', {"a": "[[1],2]"}),
        ('{"\\u0061\\"{":{"data":[1]}}', {'a"{': "[1]"}),
        ('{"a":{"data":[1],"note":"\\\\","other":"\\"}"}}', {"a": "[1]"}),
        ('{"a":{"data":[1,{"x":[2]}]},"b":{"data":[1]}}', {"b": "[1]"}),
        ("[]", {}),
        ("[1,2]", {}),
        ("7", {}),
    ],
)
@pytest.mark.parametrize("where", ["last", "first", "alone", "twice"])
def test_tensors_are_found_wherever_they_stand(tmp_path, model_data, expected, where):
    document = {
        "last": '{"trace_id":"t","prompt":"\\"model_data\\":{","model_data":%s}',
        "first": '{"model_data":%s,"trace_id":"t","prompt":"}"}',
        "alone": '\n{ "model_data" : %s }\n',
        "twice": '{"model_data":{"z":{"data":[0]}},"metadata":{"model_data":[1]},"trace_id":"t","model_data":%s}',
    }[where]
    assert spans(tmp_path / "t", document % model_data) == expected


@pytest.mark.parametrize(
    "options", [{}, {"indent": 2}, {"indent": "\t"}, {"separators": (",", ":")}, {"sort_keys": True}], ids=str
)
def test_any_way_of_printing_gives_the_same_document_and_tensors(tmp_path, options):
    document = older_document()
    index = scan(tmp_path / "t.json", json.dumps(document, **options))
    tensors = {"token_embeddings", "attention_weights.layer_0"}
    assert set(index.tensors) == tensors
    rest = {key: value for key, value in document.items() if key not in ("model_data", "intermediate_steps")}
    assert index.document == rest
    assert [step.small["step"] for step in index.steps] == [0, 1]
    with Trace.open(tmp_path / "t.json") as trace:
        for name in tensors:
            node: Any = document["model_data"]
            for part in name.split("."):
                node = node[part]
            np.testing.assert_array_equal(trace.tensor(name), np.array(node["data"], np.float32))


def test_values_longer_than_the_window_are_walked(tmp_path, monkeypatch):
    monkeypatch.setattr("nanochat.traces.json.scanner.WINDOW", 64)
    monkeypatch.setattr("nanochat.traces.json.index._HEAD", 64)
    numbers = [round(number * 0.37, 2) for number in range(500)]
    document = {
        "prompt": 'x"}' * 500,
        "model_data": {"a": leaf(numbers), "b": {**leaf([numbers, numbers]), "note": "y\\" * 300}, "c": leaf([1])},
        "z": " " * 300,
        "long": {f"key{number}": 10**15 + number for number in range(2000)},
    }
    for indent in (None, 40):
        text = json.dumps(document, indent=indent)
        found = spans(tmp_path / "t", text)
        assert {name: json.loads(data) for name, data in found.items()} == {"a": numbers, "b": [numbers] * 2, "c": [1]}
        assert scan(tmp_path / "t", text).document == {key: document[key] for key in ("prompt", "z", "long")}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=4), json_values, st.sampled_from([None, 1]))
@settings(max_examples=200)
def test_any_document_is_walked_to_its_end_and_keeps_its_values(tmp_path_factory, rest, model_data, indent):
    rest = {key: value for key, value in rest.items() if key not in ("model_data", "intermediate_steps")}
    folder = tmp_path_factory.mktemp("scan")
    index = scan(
        folder / "t", json.dumps({**rest, "model_data": model_data, "intermediate_steps": model_data}, indent=indent)
    )
    assert index.document == rest
    index = scan(folder / "u", json.dumps({"model_data": model_data, **rest}, indent=indent))
    assert index.document == rest


@pytest.mark.parametrize("printed", [{}, {"indent": 1}, {"separators": (",", ":")}], ids=str)
def test_a_file_cut_anywhere_is_found_out(tmp_path, printed):
    text = json.dumps(older_document(), **printed).encode()
    for length in range(0, len(text), 3):
        with pytest.raises(TraceUnreadableError):
            scan(tmp_path / "t", text[:length])


def test_our_own_file_cut_anywhere_is_found_out(tmp_path):
    storage = TraceStorage(tmp_path / "traces", catalogue=tmp_path / "c")
    text = storage.path_of(storage.create_trace(*small_trace(), steps=True)).read_bytes()
    for length in range(0, len(text), 61):
        with pytest.raises(TraceUnreadableError):
            scan(tmp_path / "t", text[:length])


@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b"null", b"[1]", b'"x"', b"{", b"{]", b"}", b'{"a"}', b'{"a":}', b'{"a":1,}', b'{"a":1 "b":2}',
        b"{1:2}", b'{"a":1}x', b'{"a":1}{', b'{"a":tru}', b'{"a":[1,2}', b'{"a":[1 2]}', b'{"a":[1,]}', b'{"a":["x",]}',
        b'{"a":"\n"}', b'{"a":"\\x"}', b"\xef\xbb\xbf{}", b"\xff\xfe{\0}\0", b'{"a":"\xff"}', b"\0" * 5000,
        b"{" * 5000, b"[" * 5000, b'{"a":' * 5000, b'{"a":' * 200 + b"1" + b"}" * 200, b'{"a":[{"b":' * 200,
        b'{"model_data":{"a":' * 200,
        b'{"a":"' + b"x" * 300_000, b'{"model_data":{"a":{"data":[[1,2],[3],"shape":[4]}}}', b'{"a":1' + b"9" * 9000,
        b'{"model_data":{"a":{"data":[1,2,3', b'{"model_data":{"a":[' + b"1," * 300_000,
    ],
    ids=lambda text: repr(text[:24]),
)  # fmt: skip
def test_what_is_not_a_whole_json_document_is_refused_with_a_reason(tmp_path, text):
    with pytest.raises(TraceUnreadableError) as caught:
        scan(tmp_path / "t", text)
    assert str(caught.value)


def test_odd_but_valid_documents_are_read(tmp_path):
    huge = "1" + "0" * 400
    index = scan(tmp_path / "t", f'{{"trace_id":"t","huge":{huge},"nan":NaN,"lone":"\\ud800","model_data":{{}}}}')
    assert index.document["huge"] == 10**400 or index.document["huge"] == float("inf")
    assert np.isnan(index.document["nan"])
    assert index.document["lone"] == "\ufffd"


def test_a_file_of_very_many_small_values_is_given_up_in_time(tmp_path):
    text = b'{"model_data":{},"x":[' + b'"",' * 3_000_000
    with pytest.raises(TraceUnreadableError, match="Too many values"):
        scan(tmp_path / "t", text)


def test_wrong_shapes_and_dtypes_spoil_their_tensor_only(tmp_path):
    good = leaf([[1.0, 2.0]])
    wrong = {
        "shape_text": {**good, "shape": "x"},
        "shape_negative": {**good, "shape": [-1, 2]},
        "shape_float": {**good, "shape": [1.0, 2]},
        "shape_true": {**good, "shape": [True, 2]},
        "shape_empty": {**good, "shape": []},
        "shape_huge": {**good, "shape": [10**30]},
        "shape_other": {**good, "shape": [2, 2]},
        "shape_large": {**good, "shape": [10**12, 10**12]},
        "shape_turned": {**good, "shape": [2, 1]},
        "dtype_unknown": {**good, "dtype": "complex"},
        "dtype_number": {**good, "dtype": 3},
        "dtype_integer": {**leaf([1.5]), "dtype": "torch.int32"},
        "text": leaf(["x"]),
        "ragged": {**good, "data": [[1.0], [2.0, 3.0, 4.0]], "shape": [2, 2]},
        "zero": {**good, "shape": [0, 2]},
    }
    (tmp_path / "t.json").write_text(json.dumps({"trace_id": "t", "model_data": {"good": good, **wrong}}))
    with Trace.open(tmp_path / "t.json") as trace:
        np.testing.assert_array_equal(trace.tensor("good"), [[1, 2]])
        for name in wrong:
            with pytest.raises(TraceUnreadableError, match=name):
                trace.tensor(name)


def test_shapes_that_older_files_leave_out_are_found_and_flat_data_takes_its_shape(tmp_path):
    data = {
        "no_shape": {"data": [[1.0, None], [3.0, 4.0]]},
        "flat": {"data": [1, 2, 3, 4, 5, 6], "shape": [1, 2, 3]},
        "bare": [1.5, 2.5],
        "half": {**leaf([0.1]), "dtype": "torch.float16"},
    }
    (tmp_path / "t.json").write_text(json.dumps({"trace_id": "t", "model_data": data}))
    with Trace.open(tmp_path / "t.json") as trace:
        assert trace.shape("no_shape") == (2, 2)
        np.testing.assert_array_equal(trace.tensor("no_shape"), [[1, np.nan], [3, 4]])
        np.testing.assert_array_equal(trace.tensor("flat"), [[[1, 2, 3], [4, 5, 6]]])
        np.testing.assert_array_equal(trace.tensor("flat", (0, 1)), [4, 5, 6])
        np.testing.assert_array_equal(trace.tensor("bare"), [1.5, 2.5])
        assert trace.tensor("half")[0] == np.float32(np.float16(0.1))


@pytest.mark.parametrize(
    ("mark", "said"),
    [(b"\xef\xbb\xbf", "UTF-8"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"), (b"\xff\xfe\0\0", "UTF-32")],
)
@pytest.mark.parametrize("older", [True, False])
def test_a_byte_order_mark_is_named(tmp_path, mark, said, older):
    storage = TraceStorage(tmp_path, catalogue=tmp_path / "c")
    text = json.dumps(older_document()) if older else storage.path_of(storage.create_trace(*small_trace())).read_text()
    (tmp_path / "marked.json").write_bytes(mark + (text.encode() if said == "UTF-8" else text.encode(f"{said}-LE")))
    with pytest.raises(TraceUnreadableError, match=rf"byte order mark \(BOM\) of {said}.*save it") as opened:
        storage.open_trace("marked")
    [row] = [entry for entry in storage.list_entries() if entry.trace_id == "marked"]
    assert not row.readable
    assert row.reason in str(opened.value)


def test_two_documents_in_one_file_are_no_trace(tmp_path):
    storage = TraceStorage(tmp_path, catalogue=tmp_path / "c")
    ours = [storage.path_of(storage.create_trace(*small_trace(), steps=steps)).read_bytes() for steps in (False, True)]
    theirs = json.dumps(older_document()).encode()
    pairs = {
        f"pair_{number}": first + second
        for number, (first, second) in enumerate(
            (first, second) for first in (*ours, theirs) for second in (*ours, theirs, b"{}", ours[0].rstrip())
        )
    }
    for name, text in pairs.items():
        (tmp_path / f"{name}.json").write_bytes(text)
    rows = {entry.trace_id: entry for entry in storage.list_entries()}
    for name in pairs:
        with pytest.raises(TraceUnreadableError, match="Something after the end of the document"):
            storage.open_trace(name)
        assert not rows[name].readable
        assert "Something after the end of the document" in rows[name].reason
