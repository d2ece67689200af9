"""Documents that lack something of what is shown of them are named with what they lack."""

import copy
from typing import Any

import pytest

from nanochat.checkpoint_manager import load_model
from nanochat.complete_document import check_complete
from nanochat.errors import TraceUnreadableError
from nanochat.interpretability_engine import InterpretabilityEngine

MISSING = object()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> InterpretabilityEngine:
    model, tokenizer, _ = load_model("demo", "cpu", "eval")
    return InterpretabilityEngine(model, tokenizer, tmp_path_factory.mktemp("traces"))


@pytest.fixture(scope="module")
def whole(engine: InterpretabilityEngine) -> dict[str, Any]:
    return written(engine)


def written(engine: InterpretabilityEngine, **options: Any) -> dict[str, Any]:
    result = engine.generate_and_capture(**{"prompt": "The capital", "max_tokens": 3} | options)
    with engine.storage.open_trace(result["trace_id"]) as trace:
        return dict(trace.document)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_tokens": 0},
        {"capture": {"logits": None}},
        {"capture": {"logits": 5}},
        {"capture": {"logits": "all"}},
        {"capture": {"sites": ["q"], "logits": None}},
        {"capture": {"layers": [1], "dtype": "float16"}},
        {"prompt": None, "messages": [{"role": "user", "content": "Hello"}], "format": "safetensors"},
    ],
)
def test_what_nanoscope_writes_is_complete(engine: InterpretabilityEngine, options: dict[str, Any]) -> None:
    check_complete(written(engine, **options), "mine")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model", MISSING),
        ("model.config", {}),
        ("model.config.n_layer", MISSING),
        ("model.config.n_embd", "wide"),
        ("model.parameters", None),
        ("generation", {}),
        ("generation.stop_reason", MISSING),
        ("generation.timings.prefill_seconds", MISSING),
        ("generation.timings", 5),
        ("tokens.output_text", MISSING),
        ("tokens.input_text", 5),
        ("tokens.forced", "no"),
        ("analysis", {}),
        ("analysis.attention.layer_stats", MISSING),
        ("analysis.attention.layer_stats", {"first": {}}),
        ("analysis.attention.layer_stats.2.heads", MISSING),
        ("analysis.attention.layer_stats.2.heads", 5),
        ("analysis.attention.layer_stats.2.attention_entropy", "low"),
        ("analysis.activations.layer_stats.0.post_mlp", []),
        ("analysis.activations.layer_stats.0.post_mlp.std", "x"),
        ("analysis.logits.surprisal_per_token", MISSING),
        ("analysis.logits.sampled_probability", []),
        ("analysis.logits.top_tokens_per_position", [5]),
        ("prompt", MISSING),
        ("response", None),
    ],
)
def test_what_is_missing_or_of_another_type_is_named(whole: dict[str, Any], path: str, value: Any) -> None:
    document = copy.deepcopy(whole)
    *above, last = path.split(".")
    place = document
    for step in above:
        place = place[step]
    if value is MISSING:
        del place[last]
    else:
        place[last] = value
    with pytest.raises(
        TraceUnreadableError, match=f"trace other lacks .*({last}|layer_stats).* another program .* .nanoscope analyze"
    ):
        check_complete(document, "other")


@pytest.mark.parametrize("part", ["attention", "activations", "logits"])
def test_an_analysis_may_lack_a_part(whole: dict[str, Any], part: str) -> None:
    check_complete(whole | {"analysis": whole["analysis"] | {part: None}}, "part")
