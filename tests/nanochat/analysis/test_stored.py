"""Traces by other programs are analysed as far as they make sense, and never bring the analysis down."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanochat.analysis.stored import recompute_analysis, trace_logits
from nanochat.errors import CancelledError
from nanochat.interpretability_engine import InterpretabilityEngine
from nanochat.trace_storage import TraceStorage
from tests.models import golden_model

PROMPT, OUTPUT = [291, 72, 105], [106, 107]
POSITIONS = len(PROMPT) + len(OUTPUT) - 1


@pytest.fixture
def engine(tmp_path: Path) -> InterpretabilityEngine:
    storage = TraceStorage(tmp_path / "traces", catalogue=tmp_path / "catalogue.sqlite3")
    storage.check_writable()
    return InterpretabilityEngine(*golden_model(), storage)


def leaf(values: np.ndarray) -> dict[str, Any]:
    return {"data": values.tolist(), "shape": list(values.shape), "dtype": "torch.float32"}


def write(engine: InterpretabilityEngine, **changes: Any) -> str:
    """An older program's trace: no schema version, no model, no analysis."""
    weights = np.tril(np.ones((1, 2, POSITIONS, POSITIONS))) / np.arange(1, POSITIONS + 1)[:, None]
    document = {
        "trace_id": "old",
        "timestamp": "2025-11-02T14:30:22.123456",
        "prompt": "a",
        "response": "b",
        "category": "old",
        "tokens": {"input_tokens": [PROMPT], "output_tokens": OUTPUT},
        "model_data": {
            "output_logits": leaf(np.zeros((1, len(OUTPUT), 1000))),
            "attention_weights": {"layer_0": leaf(weights), "layer_1": leaf(weights[:, :, :2])},
            "layer_activations": {"layer_0": {"post_mlp": leaf(np.ones((1, POSITIONS, 8)))}},
        },
    }
    path = Path(engine.storage.directory) / "old.json"
    path.write_text(json.dumps(document | changes))
    return "old"


def test_an_older_trace_is_analysed_without_what_does_not_fit(engine: InterpretabilityEngine) -> None:
    trace_id = write(engine, tokens={"input_tokens": [PROMPT], "output_tokens": [106, 107]})
    analysis = engine.analyze_trace(trace_id)["analysis"]
    assert list(analysis["attention"]["layer_stats"]) == ["0"]
    entropy = np.mean([np.log(keys) for keys in range(1, POSITIONS + 1)])
    assert analysis["attention"]["layer_stats"]["0"]["attention_entropy"] == pytest.approx(entropy)
    assert analysis["activations"]["layer_stats"]["0"]["post_mlp"]["mean"] == 1.0
    assert analysis["logits"]["entropy_per_position"] == pytest.approx([np.log(1000)] * 2)


def test_tokens_that_the_tokenizer_lacks_are_shown_by_their_number(engine: InterpretabilityEngine) -> None:
    trace_id = write(engine, tokens={"input_tokens": PROMPT, "output_tokens": [106, 900]})
    top = engine.analyze_trace(trace_id)["analysis"]["logits"]["top_tokens_per_position"][0]
    assert {entry["text"] for entry in top} <= {engine.tokenizer.token_text(i) for i in range(300)}
    logits = np.zeros((1, 2, 1000))
    logits[..., 900] = 9.0
    tokens = {"input_tokens": PROMPT, "output_tokens": [106, 900]}
    trace_id = write(engine, tokens=tokens, model_data={"output_logits": leaf(logits)})
    assert engine.analyze_trace(trace_id)["analysis"]["logits"]["top_tokens_per_position"][0][0]["text"] == "<900>"


@pytest.mark.parametrize("rows", [1, len(PROMPT), POSITIONS, POSITIONS + 1])
def test_an_older_trace_is_analysed_over_as_many_positions_as_it_has(engine: InterpretabilityEngine, rows: int) -> None:
    weights = np.tril(np.ones((1, 2, rows, rows))) / np.arange(1, rows + 1)[:, None]
    tensors = {
        "attention_weights": {"layer_0": leaf(weights)},
        "layer_activations": {"layer_0": {"post_mlp": leaf(np.full((1, rows, 8), 2.0))}},
    }
    analysis = engine.analyze_trace(write(engine, model_data=tensors))["analysis"]
    entropy = np.mean([np.log(keys) for keys in range(1, rows + 1)])
    assert analysis["attention"]["layer_stats"]["0"]["attention_entropy"] == pytest.approx(entropy)
    assert analysis["activations"]["layer_stats"]["0"]["post_mlp"]["mean"] == 2.0


def test_logits_of_every_token_are_those_that_the_next_one_was_drawn_from(engine: InterpretabilityEngine) -> None:
    tokens = PROMPT + OUTPUT
    logits = np.zeros((1, len(tokens), 1000))
    logits[0, range(len(tokens) - 1), tokens[1:]] = 20.0
    found = engine.analyze_trace(write(engine, model_data={"output_logits": leaf(logits)}))["analysis"]["logits"]
    assert found["surprisal_per_token"] == pytest.approx([0.0, 0.0], abs=1e-4)
    assert found["prompt"]["surprisal_per_token"] == [None, *[pytest.approx(0.0, abs=1e-4)] * (len(PROMPT) - 1)]


@pytest.mark.parametrize(
    "changes",
    [
        {"tokens": None},
        {"tokens": {"input_tokens": PROMPT, "output_tokens": [106, 999_999]}},
        {"tokens": {"input_tokens": PROMPT, "output_tokens": [106, 10**30]}},
        {"tokens": {"input_tokens": PROMPT, "output_tokens": [106, -1]}},
        {"tokens": {"input_tokens": "x", "output_tokens": 3}},
        {"model": 3},
        {"model": {"era": "Z", "config": {}}},
        {"model": {"era": "F", "config": {"sequence_len": 10**12}}},
        {"model_data": {"output_logits": leaf(np.zeros(4))}},
        {"model_data": {"output_logits": {"values": leaf(np.zeros((1, POSITIONS, 2)))}}},
        {"model_data": {"attention_weights": {"layer_99": leaf(np.zeros((1, 1, POSITIONS, POSITIONS)))}}},
        {"model_data": {"token_embeddings": leaf(np.zeros((2, POSITIONS, 2)))}},
        {"model_data": {"attention_weights": {"layer_0": leaf(np.zeros((1, 0, POSITIONS, POSITIONS)))}}},
        {"model_data": {"attention_weights": {"layer_0": leaf(np.zeros((1, 1, POSITIONS + 2, POSITIONS + 2)))}}},
        {"model_data": {"attention_weights": {"layer_0": leaf(np.zeros((1, 1, 0, 0)))}}},
        {"model_data": {"layer_activations": {"layer_0": {"post_mlp": leaf(np.zeros((1, 0, 8)))}}}},
        {"tokens": {"input_tokens": [], "output_tokens": [1, 2, 3]}},
        {"model_data": None},
    ],
)
def test_odd_traces_do_not_bring_it_down(engine: InterpretabilityEngine, changes: dict[str, Any]) -> None:
    trace_id = write(engine, **{"tokens": {"input_tokens": PROMPT, "output_tokens": [106, 107]}, **changes})
    analysis = engine.analyze_trace(trace_id)["analysis"]
    assert set(analysis) == {"attention", "activations", "logits"}


def test_layers_beyond_the_models_are_left_out(engine: InterpretabilityEngine) -> None:
    config = {"sequence_len": 8, "vocab_size": 1000, "n_layer": 1, "n_head": 2, "n_kv_head": 2, "n_embd": 8}
    square = leaf(np.eye(POSITIONS)[None, None])
    weights = {"attention_weights": {"layer_0": square, "layer_7": square}}
    tokens = {"input_tokens": PROMPT, "output_tokens": [106, 107]}
    trace_id = write(engine, tokens=tokens, model={"era": "F", "config": config}, model_data=weights)
    assert list(engine.analyze_trace(trace_id)["analysis"]["attention"]["layer_stats"]) == ["0"]


def test_the_logits_alone_are_those_of_the_whole_analysis(engine: InterpretabilityEngine) -> None:
    result = engine.generate_and_capture("Two sailors", max_tokens=3, capture={"logits": "all"})
    with engine.storage.open_trace(result["trace_id"]) as trace:
        text = engine.tokenizer.token_text
        assert trace_logits(trace, text) == recompute_analysis(trace, text)["logits"]
        assert len(trace_logits(trace, text)["prompt"]["surprisal_per_token"]) == result["prompt_tokens"]


@pytest.mark.parametrize("recompute", [recompute_analysis, trace_logits])
def test_a_cancelled_analysis_reads_no_more(engine: InterpretabilityEngine, recompute: Any) -> None:
    cancel = threading.Event()
    cancel.set()
    with engine.storage.open_trace(write(engine)) as trace, pytest.raises(CancelledError):
        recompute(trace, engine.tokenizer.token_text, cancel)
