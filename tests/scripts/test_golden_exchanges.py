import json
from dataclasses import replace
from typing import Annotated

import pytest
from msgspec import Meta

from protocol.methods import METHODS
from protocol.types import Params
from scripts import example_requests, record_examples
from scripts.example_requests import ASKED, DURING, NO_TRACE, Asked, RequestMissingError, asked_of
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
from scripts.record_examples import EXAMPLES, main, rounded


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


@pytest.mark.parametrize("method", METHODS)
def test_what_is_recorded_is_what_is_asked(method):
    examples = json.loads((EXAMPLES / f"{method}.json").read_text(encoding="utf-8"))
    errors = {example["note"]: example["error"]["data"]["name"] for example in examples if "error" in example}
    assert {
        example["note"]: Asked(example["params"], errors.get(example["note"], "")) for example in examples
    } == asked_of(method)
    assert {(method, example["note"]): example["during"] for example in examples if "during" in example} == {
        key: during for key, during in DURING.items() if key[0] == method
    }


def test_requests_are_of_methods_that_there_are():
    assert ASKED.keys() <= METHODS.keys()


def test_a_method_that_nobody_has_said_what_to_ask_of_is_asked_by_the_examples_of_its_params(monkeypatch):
    class WordParams(Params):
        trace_id: str
        word: Annotated[str, Meta(examples=["gold"])]
        often: int = 1

    monkeypatch.setattr(example_requests, "ASKED", {})
    monkeypatch.setitem(METHODS, "count_word", replace(METHODS["get_tensor"], name="count_word", params=WordParams))
    params = {"trace_id": EXAMPLE_ID, "word": "gold"}
    first, *faults = asked_of("count_word").values()
    assert first == Asked(params)
    assert faults == [Asked({**params, **fault.params}, fault.error) for fault in NO_TRACE.values()]
    assert asked_of("list_models") == {"Without params.": Asked({})}


def test_a_method_with_a_param_of_no_example_is_refused(monkeypatch):
    monkeypatch.setattr(example_requests, "ASKED", {})
    with pytest.raises(
        RequestMissingError, match=r"get_tensor needs name: give its field an example, `Meta\(examples="
    ):
        asked_of("get_tensor")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Asked({"limit": 0}), "list_traces, 'Some.': a result was expected, and came INVALID_PARAMS: list_traces: "),
        (Asked({}, "CATEGORY_INVALID"), "list_traces, 'Some.': CATEGORY_INVALID was expected, and came a result"),
        (Asked({"limit": 0}, "CATEGORY_INVALID"), "CATEGORY_INVALID was expected, and came INVALID_PARAMS: "),
    ],
)
def test_what_was_not_expected_is_said_and_nothing_is_recorded(asked, message, monkeypatch, capsys):
    monkeypatch.setattr(record_examples, "METHODS", {name: METHODS[name] for name in ("list_models", "list_traces")})
    monkeypatch.setitem(ASKED, "list_traces", {"Some.": asked})
    monkeypatch.setattr(record_examples, "write", lambda recorded: pytest.fail("it was recorded"))
    assert main([]) == 1
    assert message in capsys.readouterr().err
