"""A trace that was captured before a metric came is read with it, and keeps what it has."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nanochat.analysis import HEAD_METRICS, LAYER_METRICS, TOKEN_METRICS
from nanochat.interpretability_engine import InterpretabilityEngine
from nanochat.trace_storage import TraceStorage
from tests.models import golden_model


@pytest.fixture
def engine(tmp_path: Path) -> InterpretabilityEngine:
    storage = TraceStorage(tmp_path / "traces", catalogue=tmp_path / "catalogue.sqlite3")
    return InterpretabilityEngine(*golden_model(), storage)


def captured(engine: InterpretabilityEngine, **capture: Any) -> tuple[str, dict[str, Any]]:
    """A trace's id, and its analysis."""
    made = engine.generate_and_capture("Red, blue, red,", max_tokens=3, capture=capture)
    return made["trace_id"], made["analysis"]


def edit(engine: InterpretabilityEngine, trace_id: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what a trace's file has for its analysis."""
    path = engine.storage.path_of(trace_id)
    document = json.loads(path.read_text())
    change(document["analysis"])
    path.write_text(json.dumps(document))


def without(analysis: dict[str, Any], heads: str, layers: str, tokens: str) -> None:
    for stats in analysis["attention"]["layer_stats"].values():
        stats.pop(heads, None)
        for head in stats["heads"]:
            del head[heads]
    for sites in analysis["activations"]["layer_stats"].values():
        for numbers in sites.values():
            del numbers[layers]
    del analysis["logits"][tokens]
    analysis["logits"]["prompt"].pop(tokens, None)


KEYS = list(zip(HEAD_METRICS, [*LAYER_METRICS] * 2, [*TOKEN_METRICS] * 4, strict=False))


@pytest.mark.parametrize(("heads", "layers", "tokens"), KEYS)
def test_each_metric_that_a_trace_lacks_is_worked_out(
    engine: InterpretabilityEngine, heads: str, layers: str, tokens: str
) -> None:
    trace_id, whole = captured(engine, logits="all", dtype="float32")
    edit(engine, trace_id, lambda analysis: without(analysis, heads, layers, tokens))
    found = engine.analyze_trace(trace_id)["analysis"]
    assert found == approximately(whole)


def approximately(value: Any) -> Any:
    """The same, to the digits that a float32 file keeps."""
    if isinstance(value, dict):
        return {key: approximately(item) for key, item in value.items()}
    if isinstance(value, list):
        return [approximately(item) for item in value]
    return pytest.approx(value, rel=1e-4, abs=1e-6) if isinstance(value, float) else value


def test_what_a_trace_has_stays(engine: InterpretabilityEngine) -> None:
    """A null is a number that is not defined, and another program's number is its own."""

    def change(analysis: dict[str, Any]) -> None:
        layer = analysis["attention"]["layer_stats"]["0"]
        layer["heads"][0] = {"sink": None, "a_metric_of_another": 7}
        layer["heads"][1]["induction"] = 7.5  # which the first head lacks

    trace_id, whole = captured(engine)
    edit(engine, trace_id, change)
    layer = engine.analyze_trace(trace_id)["analysis"]["attention"]["layer_stats"]["0"]
    assert layer["heads"][1]["induction"] == 7.5
    assert layer["heads"][0] == approximately(whole["attention"]["layer_stats"]["0"]["heads"][0]) | {
        "sink": None,
        "a_metric_of_another": 7,
    }


def test_the_prompt_keeps_what_its_file_cannot_say_anew(engine: InterpretabilityEngine) -> None:
    """Rows of the generated tokens alone: the prompt's numbers were worked out while the model was there."""
    trace_id, whole = captured(engine)
    edit(engine, trace_id, lambda analysis: without(analysis, "sink", "std", "entropy_per_position"))
    logits = engine.analyze_trace(trace_id)["analysis"]["logits"]
    assert logits["entropy_per_position"] == approximately(whole["logits"]["entropy_per_position"])
    expected = copy.deepcopy(whole["logits"]["prompt"])
    del expected["entropy_per_position"]
    assert logits["prompt"] == expected


def test_a_trace_without_the_tensors_is_as_it_is(engine: InterpretabilityEngine) -> None:
    trace_id, _ = captured(engine, sites=["residual"], logits=None)
    layers = {"0": {"heads": [{"sink": 0.5}]}}

    def change(analysis: dict[str, Any]) -> None:
        analysis["attention"] = {"num_layers": 1, "layer_stats": layers}
        analysis["logits"] = {"top_tokens_per_position": [[]] * 3}

    edit(engine, trace_id, change)
    analysis = engine.analyze_trace(trace_id)["analysis"]
    assert analysis["attention"]["layer_stats"] == layers
    assert analysis["logits"] == {"top_tokens_per_position": [[]] * 3}


@pytest.mark.parametrize(
    "odd",
    [
        {"attention": {"layer_stats": {"0": 3, "x": {"heads": [1]}}}},
        {"activations": {"layer_stats": {"0": [1], "1": {"post_attn": 2}}}},
        {"attention": [], "activations": "no", "logits": 1},
    ],
    ids=["heads", "sites", "parts"],
)
def test_an_analysis_of_another_form_is_computed_anew(engine: InterpretabilityEngine, odd: dict[str, Any]) -> None:
    trace_id, whole = captured(engine, logits="all", dtype="float32")
    edit(engine, trace_id, lambda analysis: (analysis.clear(), analysis.update(odd)))
    assert engine.analyze_trace(trace_id)["analysis"] == approximately(whole)


@pytest.mark.parametrize("logits", [{"top_tokens_per_position": 5}, {"top_tokens_per_position": []}, {}])
def test_odd_logits_stay_as_they_are(engine: InterpretabilityEngine, logits: dict[str, Any]) -> None:
    trace_id, _ = captured(engine)
    edit(engine, trace_id, lambda analysis: analysis.update(logits=logits))
    assert engine.analyze_trace(trace_id)["analysis"]["logits"] == logits
