"""What lines of listings tell of a trace's model, its settings and its parent."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat.trace_storage import TraceEntry, TraceStorage
from nanochat.traces.document import read_document
from nanochat.traces.provenance import change_words, changed_words, provenance
from tests.nanochat.trace_examples import older_document, small_trace

SETTINGS = {"temperature": 0.8, "top_k": 50, "seed": 7, "max_tokens": 32}
TOLD = ("model", "temperature", "top_k", "seed", "max_tokens", "parent")
NOTHING = dict.fromkeys(TOLD)
MEAN = "mean L0 post_mlp at [0, [2, 5]]"
SCALED = "scale L1H0 q by 2 at last"
MANY = f"zero {', '.join(f'L2H{head}' for head in range(8))} and 8 more"


def told(entry: TraceEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in TOLD}


@pytest.mark.parametrize("format", ["json", "safetensors"])
def test_a_line_tells_model_settings_and_parent_from_the_file_and_from_the_catalogue(tmp_path, format):
    storage = TraceStorage(tmp_path / "traces", catalogue=tmp_path / "catalogue")
    document, tensors = small_trace()
    document |= {
        "model": {"source": "base", "tag": "d12", "step": 2289},
        "generation": SETTINGS | {"stop_reason": "end"},
        "metadata": {"parent": "trace_20260101_120000_000000"},
    }
    storage.create_trace(document, tensors, format=format)
    expected = SETTINGS | {"model": "d12 · 2289", "parent": "trace_20260101_120000_000000"}
    for look in (
        storage,
        TraceStorage(storage.directory, catalogue=storage.catalogue.path),
        TraceStorage(storage.directory, catalogue=":memory:"),
    ):
        assert [told(entry) for entry in look.list_entries()] == [expected]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ({"source": "demo", "tag": "demo", "step": 2289}, "demo"),
        ({"source": "base", "tag": "d12", "step": 2289}, "d12 · 2289"),
        ({"source": "sft", "tag": "d12", "step": 650}, "sft d12 · 650"),
        ({"source": "rl", "tag": "d12"}, "rl d12"),
        ({"source": "/home/ada/runs/ours", "step": 0}, "ours · 0"),
        ({"source": "/home/ada/runs/ours", "tag": "d4", "step": "100"}, "d4"),
        ({"tag": "d4", "step": True}, "d4"),
        ({"tag": "d4", "step": -1}, "d4"),
        ({"tag": "d4", "step": 10**400}, "d4"),
        ({"tag": ["d4"], "source": 5}, None),
        ({"tag": "x" * 10_000}, "x" * 80),
        ({"tag": "\x1b[31md4\n"}, "\\x1b[31md4↵"),
        ({}, None),
        ("d12", None),
    ],
)
def test_a_model_is_named_as_people_say_it(model, name):
    assert provenance(read_document({"model": model})).get("model") == name


@pytest.mark.parametrize(
    ("generation", "expected"),
    [
        (SETTINGS, SETTINGS),
        ({"temperature": 0}, {"temperature": 0.0}),
        ({"top_k": None}, {"top_k": 0}),  # both draw from all
        ({"temperature": "0.8", "top_k": [50], "seed": {}, "max_tokens": "32"}, {}),
        ({"temperature": True, "top_k": True, "seed": False, "max_tokens": None}, {}),
        ({"temperature": 10**400, "top_k": 2**63, "seed": -1, "max_tokens": 1.5}, {}),
        ({"temperature": float("nan")}, {}),
        ({"temperature": float("inf")}, {}),
        ({"seed": 2**63 - 1}, {"seed": 2**63 - 1}),
        ([0.8], {}),
        (None, {}),
    ],
)
def test_a_setting_of_the_wrong_type_or_beyond_its_range_is_left_out(generation, expected):
    assert provenance(read_document({"generation": generation})) == expected


def test_older_traces_tell_the_temperature_among_their_metadata():
    document = read_document({"metadata": {"model_source": "d4", "temperature": 0.6}})
    assert provenance(document) == {"model": "d4", "temperature": 0.6}


@pytest.mark.parametrize("parent", ["../secrets", "", "x" * 201, 5, None, ["trace_1"], {}])
def test_what_is_no_id_is_no_parent(tmp_path, parent):
    storage = TraceStorage(tmp_path / "traces", catalogue=":memory:")
    storage.directory.mkdir()
    text = json.dumps(older_document(metadata={"parent": parent}))
    (storage.directory / "odd.json").write_text(text)
    (entry,) = storage.list_entries()
    assert (entry.readable, told(entry)) == (True, NOTHING)


def test_an_unreadable_file_tells_nothing(tmp_path):
    storage = TraceStorage(tmp_path / "traces", catalogue=":memory:")
    storage.directory.mkdir()
    (storage.directory / "cut.json").write_text("{")
    (entry,) = storage.list_entries()
    assert (entry.readable, told(entry)) == (False, NOTHING)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("source", "tag", "step"), JSON)) | JSON,
    st.fixed_dictionaries({}, optional=dict.fromkeys(SETTINGS, JSON)) | JSON,
)
def test_whatever_stands_there_a_line_holds_words_and_numbers(model, generation):
    found = provenance(read_document({"model": model, "generation": generation, "metadata": generation}))
    assert isinstance(found.pop("model", ""), str)
    assert all(type(value) in (int, float) for value in found.values())


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"op": "zero", "site": "head_output", "layer": 3, "heads": [1, 2], "positions": "all"}, "zero L3H1, L3H2"),
        ({"op": "mean", "site": "post_mlp", "layer": 0, "value": "prompt", "positions": [0, [2, 5]]}, MEAN),
        ({"op": "scale", "site": "q", "layer": 1, "heads": [0], "positions": "last", "value": 2}, SCALED),
        (
            {"op": "set", "site": "token_embeddings", "layer": 0, "value": [0.5] * 8},
            "set L0 token_embeddings to 8 values",
        ),
        ({"op": "zero", "site": "head_output", "layer": 2, "heads": list(range(16))}, MANY),
        ({"op": 5, "site": None, "layer": "x", "heads": "all", "value": True}, ""),
        ({"op": "\x1b[2J", "value": 10**400, "positions": {}}, "\\x1b[2J at {}"),
    ],
)
def test_an_intervention_is_told_in_a_line(told, words):
    assert change_words(told) == words


HEADS = {"op": "zero", "site": "head_output", "layer": 3, "heads": [1, 2], "positions": "all"}
MLP = {"op": "zero", "site": "post_mlp", "layer": 3}


@pytest.mark.parametrize(
    ("interventions", "words"),
    [
        ([], None),
        ([HEADS], "without L3H1, L3H2"),
        ([HEADS, MLP], "without L3H1, L3H2, L3 MLP"),
        ([HEADS | {"positions": "last"}], "zero L3H1, L3H2 at last"),
        ([MLP, HEADS | {"op": "scale", "value": 2}], "without L3 MLP; scale L3H1, L3H2 by 2"),
        ([MLP] * 9, f"without {', '.join(['L3 MLP'] * 8)}; 1 more"),
        ([{"op": 5}], "edited"),
    ],
)
def test_all_that_was_changed_is_told_in_a_few_words(interventions, words):
    assert changed_words(interventions) == words
