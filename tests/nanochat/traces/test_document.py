"""Documents that lack something of what is shown of them are named with what they lack."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat.checkpoint_manager import load_model
from nanochat.demo.complete import check_complete
from nanochat.errors import TraceUnreadableError
from nanochat.interpretability_engine import InterpretabilityEngine
from nanochat.traces.document import generated_statistics, prompt_statistics, read_document

MISSING = object()
KEYS = st.sampled_from([
    "timestamp", "prompt", "response", "category", "metadata", "messages", "model", "config", "era", "generation",
    "timings", "tokens", "input_tokens", "output_tokens", "input_text", "output_text", "forced", "analysis",
    "attention", "num_layers", "layer_stats", "0", "heads", "logits", "surprisal_per_token", "sampled_probability",
    "entropy_per_position", "top_tokens_per_position", "data_info", "tensors",
])  # fmt: skip


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
    check_complete(read_document(written(engine, **options)), "mine")


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
        check_complete(read_document(document), "other")


@pytest.mark.parametrize("part", ["attention", "activations", "logits"])
def test_an_analysis_may_lack_a_part(whole: dict[str, Any], part: str) -> None:
    check_complete(read_document(whole | {"analysis": whole["analysis"] | {part: None}}), "part")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=6),
    max_leaves=20,
)


@given(st.dictionaries(KEYS, json_values))
def test_a_document_of_any_form_is_made_whole(raw: dict[str, Any]) -> None:
    document = read_document(raw)
    assert document.raw is raw
    for name in ("timestamp", "prompt", "response"):
        assert isinstance(getattr(document, name), str)
    tokens, logits = document.tokens, document.logits or {}
    assert all(isinstance(token, int) for token in tokens.prompt + tokens.generated)
    assert len(tokens.forced) == len(tokens.prompt) + len(tokens.generated)
    for texts, ids in ((tokens.prompt_text, tokens.prompt), (tokens.generated_text, tokens.generated)):
        assert texts is None or [type(text) for text in texts] == [str] * len(ids)
    for statistics in (prompt_statistics(logits, 3), generated_statistics(logits, 3)):
        lists = (statistics.surprisal, statistics.probability, statistics.entropy, statistics.top)
        assert {len(values) for values in lists} == {3}
        assert all(value is None or isinstance(value, float) for values in lists[:3] for value in values)
    assert document.analysis is None or document.analysis is raw["analysis"]
    assert document.data_info is None or document.data_info is raw["data_info"]
    assert (document.sizes is None and document.run is None) or document.model or document.generation


def test_what_is_of_our_form_is_handed_on_with_what_newer_versions_added(whole: dict[str, Any]) -> None:
    heads = whole["analysis"]["attention"]["layer_stats"]["0"]["heads"]
    heads[0]["a_new_metric"], whole["analysis"]["a_new_part"] = 0.5, [10**400]
    document = read_document(whole)
    assert document.analysis is whole["analysis"]
    assert document.data_info is whole["data_info"]
    assert document.sizes is not None and document.sizes.config.n_layer == whole["model"]["config"]["n_layer"]
    assert document.run is not None and document.run.timings is not None


@pytest.mark.parametrize(
    "attention",
    [
        {"layer_stats": {}},
        {"num_layers": 1, "layer_stats": {"first": {}}},
        {"num_layers": 1, "layer_stats": {"0": {"heads": 5}}},
        {"num_layers": 1, "layer_stats": {"0": {"heads": None}}},
        {"num_layers": 1, "layer_stats": {"0": {"heads": [5]}}},
        {"num_layers": 1, "layer_stats": {"0": {"attention_entropy": "low"}}},
    ],
)
def test_an_analysis_of_another_form_is_none(attention: dict[str, Any]) -> None:
    assert read_document({"analysis": {"attention": attention}}).analysis is None


def test_texts_are_taken_where_every_token_has_one() -> None:
    tokens = {"input_tokens": [[1, 2]], "output_tokens": [3, None], "input_text": ["a"], "output_text": ["b"]}
    found = read_document({"tokens": tokens}).tokens
    assert (found.prompt, found.prompt_text) == ([1, 2], None)
    assert (found.generated, found.generated_text) == ([3], ["b"])
    assert read_document({"tokens": tokens | {"output_text": [3]}}).tokens.generated_text is None


def test_a_short_list_of_forced_tokens_is_of_the_last_ones() -> None:
    tokens = {"input_tokens": [1, 2], "output_tokens": [3, 4], "forced": [0, 1]}
    assert read_document({"tokens": tokens}).tokens.forced == [False, False, False, True]
    assert read_document({"tokens": tokens | {"forced": [1, 0, 0, 0, 1]}}).tokens.forced == [False, False, False, True]
    assert read_document({"tokens": tokens | {"forced": "no"}}).tokens.forced == [False] * 4
