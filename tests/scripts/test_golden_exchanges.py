import json

import pytest

from scripts.golden_exchanges import (
    DAMAGED_ID,
    EXAMPLE_ID,
    NEW_ID,
    NEW_TIME,
    TRACES,
    VOLATILE,
    differences,
    make_scene,
    normalised,
)
from scripts.record_examples import ASKED, DURING, EXAMPLES, rounded


@pytest.fixture
def scene(tmp_path):
    return make_scene("get_status", tmp_path, tmp_path / "daemon.log")


def test_what_is_equal_has_no_differences():
    value = {"a": [1, 2.0, "text", None, True], "b": {}}
    assert differences(value, json.loads(json.dumps(value))) == []


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (1000, 1001),
        (1.0, 1.01),
        (1.0, 1),
        (True, 1),
        ("a", "b"),
        (None, 0),
        ([1], [1, 2]),
        ({"a": 1}, {}),
        ({}, {"a": 1}),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}),
    ],
)
def test_what_is_not_equal_has(expected, actual):
    assert len(differences(expected, actual)) == 1


def test_a_difference_says_where():
    assert differences({"a": [{"b": 1}]}, {"a": [{"b": 2}]}) == ["$.a[0].b: 1 expected, 2 came"]


def test_floats_may_differ_a_little():
    assert differences([0.5, 1e-6, 1000.0], [0.5002, 2e-6, 1000.5]) == []


def test_what_differs_from_run_to_run_is_put_at_fixed_values(scene):
    said = {
        "pid": 17,
        "message": "the daemon (pid 17)",
        "trace_id": "trace_20301231_235959_123456_2",
        "timestamp": "2030-12-31T23:59:59.123456+05:45",
        "path": f"{scene.traces}/trace_20301231_235959_123456.json",
        "timings": {"prefill_seconds": 0.5, "tokens_per_second": None},
        "traces": [],
    }
    assert normalised("get_status", said, scene) == {
        "pid": VOLATILE["pid"],
        "message": f"the daemon (pid {VOLATILE['pid']})",
        "trace_id": NEW_ID,
        "timestamp": NEW_TIME,
        "path": f"{TRACES}/{NEW_ID}.json",
        "timings": {"prefill_seconds": 0.012345, "tokens_per_second": None},
        "traces": [],
    }


def test_the_example_traces_own_words_stay(scene):
    said = {"trace_id": EXAMPLE_ID, "other": DAMAGED_ID, "timestamp": "2026-01-01T12:00:00.000000+00:00", "position": 3}
    assert normalised("get_tokens", said, scene) == said


def test_only_the_scenes_own_sessions_and_folders_are_looked_at(scene):
    rows = [{"traces_dir": str(scene.traces)}, {"traces_dir": "/somebody/else"}]
    expected = [{"traces_dir": TRACES}]
    assert normalised("get_status", {"result": {"sessions": rows, "watchers": rows}}, scene) == {
        "result": {"sessions": expected, "watchers": expected}
    }


def test_params_get_real_paths(scene):
    assert scene.real({"traces_dir": f"{TRACES}/x"}) == {"traces_dir": f"{scene.traces}/x"}


def test_six_digits_are_kept():
    assert rounded({"a": [0.123456789, 2, "x", None]}) == {"a": [0.123457, 2, "x", None]}


@pytest.mark.parametrize("method", ASKED)
def test_what_is_recorded_is_what_is_asked(method):
    examples = json.loads((EXAMPLES / f"{method}.json").read_text(encoding="utf-8"))
    assert {example["note"]: example["params"] for example in examples} == ASKED[method]
    assert {(method, example["note"]): example["during"] for example in examples if "during" in example} == {
        key: during for key, during in DURING.items() if key[0] == method
    }
