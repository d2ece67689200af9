"""A trace run again with interventions: the same prompt, seed, settings and capture; its child tells its parent."""

import json
from pathlib import Path
from typing import Any

import pytest

from nanochat.analysis.thumbnails import attention_layers
from nanochat.capture.sites import CaptureSettings
from nanochat.checkpoint_manager import load_model
from nanochat.errors import NonFiniteError, OtherModelError, SettingInvalidError, TraceNotFoundError
from nanochat.interpretability_engine import InterpretabilityEngine
from nanochat.trace_storage import TraceStorage
from nanochat.why.rerun import capture_of
from tests.models import golden_model

PROMPT = "The capital of France is"
OFF: dict[str, Any] = {"op": "zero", "site": "post_mlp", "layer": 1}
NOTHING: dict[str, Any] = {"op": "scale", "site": "post_mlp", "layer": 1, "value": 1.0}


@pytest.fixture
def engine(tmp_path: Path) -> InterpretabilityEngine:
    model, tokenizer = golden_model()
    storage = TraceStorage(tmp_path / "traces", catalogue=tmp_path / "catalogue.sqlite3")
    return InterpretabilityEngine(model, tokenizer, storage)


def tokens_of(engine: InterpretabilityEngine, trace_id: str) -> list[int]:
    with engine.storage.open_trace(trace_id) as trace:
        return trace.fields.tokens.generated


@pytest.mark.parametrize("format", ["json", "safetensors"])
def test_a_trace_tells_what_was_changed_while_it_was_made(engine: InterpretabilityEngine, format: str) -> None:
    given = [OFF, NOTHING | {"positions": "generated"}, NOTHING | {"positions": [0, [2, 5]]}]
    made = engine.generate_and_capture(PROMPT, max_tokens=9, interventions=given, format=format)
    length = made["prompt_tokens"]
    expected = [length + 8, 8, 4]
    with engine.storage.open_trace(made["trace_id"]) as trace:
        assert not trace.activation(1, "post_mlp").any() and trace.activation(2, "post_mlp").any()
        assert trace.document["interventions"] == made["interventions"] == trace.fields.interventions
        assert trace.document["touched"] == made["touched"] == trace.fields.touched == expected
    summary = engine.storage.get_trace_summary(made["trace_id"])
    assert (summary["interventions"], summary["touched"], summary["parent"]) == (made["interventions"], expected, None)
    again = engine.generate_and_capture(PROMPT, max_tokens=9, interventions=made["interventions"])
    assert tokens_of(engine, again["trace_id"]) == tokens_of(engine, made["trace_id"])
    plain = engine.generate_and_capture(PROMPT, max_tokens=9)
    assert tokens_of(engine, plain["trace_id"]) != tokens_of(engine, made["trace_id"])
    assert (plain["interventions"], plain["touched"], plain["parent"]) == ([], [], None)


@pytest.mark.parametrize("positions", ["generated", [40], [[0, 7]]])
def test_what_would_touch_nothing_is_refused_before_any_work(engine: InterpretabilityEngine, positions: Any) -> None:
    length = len(engine.tokenizer.encode("Hi", prepend="<|bos|>"))
    assert length < 7
    with pytest.raises(SettingInvalidError, match=r"interventions\[0\]"):
        engine.generate_and_capture("Hi", max_tokens=1, interventions=[OFF | {"positions": positions}])
    assert not Path(engine.storage.directory).exists()


SETTINGS = {
    "as by default": {},
    "other settings": {"temperature": 1.0, "top_k": None, "seed": 7, "category": "geography", "max_tokens": 5},
    "narrowed": {"capture": {"layers": [1], "sites": ["q", "residual"], "logits": 7}, "format": "safetensors"},
    "all logits, half": {"capture": {"sites": ["attention_weights"], "logits": "all", "dtype": "float16"}},
    "no logits": {"capture": {"sites": ["final_residual", "token_embeddings"], "logits": None}},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_changing_nothing_repeats_the_trace(engine: InterpretabilityEngine, name: str) -> None:
    parent = engine.generate_and_capture(PROMPT, **{"max_tokens": 9, **SETTINGS[name]})
    child = engine.intervene(parent["trace_id"], [NOTHING])
    assert child["parent"] == parent["trace_id"] and child["position"] is None
    with engine.storage.open_trace(parent["trace_id"]) as one, engine.storage.open_trace(child["trace_id"]) as other:
        assert one.document["tokens"] == other.document["tokens"]
        assert one.infos() == other.infos() and one.format == other.format
        for name in one.names():
            assert (one.tensor(name) == other.tensor(name)).all(), name
        settings = [{k: v for k, v in each.document["generation"].items() if k != "timings"} for each in (one, other)]
        assert settings[0] == settings[1] and one.document["category"] == other.document["category"]
        assert other.document["parent"] == other.fields.parent == parent["trace_id"]


def test_a_child_is_listed_with_its_parent_and_tells_where_they_part(engine: InterpretabilityEngine) -> None:
    parent = engine.generate_and_capture(None, messages=[{"role": "user", "content": PROMPT}], max_tokens=9)
    child = engine.intervene(parent["trace_id"], [OFF])
    ours, theirs = (tokens_of(engine, made["trace_id"]) for made in (parent, child))
    parted = next(i for i in range(len(ours)) if ours[: i + 1] != theirs[: i + 1])
    assert child["position"] == parent["prompt_tokens"] + parted
    entries = {entry.trace_id: entry.parent for entry in engine.storage.list_entries()}
    assert entries == {parent["trace_id"]: None, child["trace_id"]: parent["trace_id"]}
    again = TraceStorage(engine.storage.directory)  # from the files
    assert {entry.trace_id: entry.parent for entry in again.list_entries()} == entries
    with engine.storage.open_trace(child["trace_id"]) as trace:
        assert trace.fields.messages == [{"role": "user", "content": PROMPT}]


def test_a_trace_of_another_model_is_refused_by_name(engine: InterpretabilityEngine) -> None:
    made = engine.generate_and_capture(PROMPT, max_tokens=3)
    other, _ = golden_model(case="mha_full_context")
    beside = InterpretabilityEngine(other, engine.tokenizer, engine.storage)
    with pytest.raises(OtherModelError, match=r"was written by .*era F; this is .*: .* say anyway"):
        beside.intervene(made["trace_id"], [OFF])
    child = beside.intervene(made["trace_id"], [OFF], anyway=True, on_notice=lambda text: None)
    assert "was written by" in child["notices"][0]


def test_a_tokenizer_that_makes_other_tokens_is_refused(engine: InterpretabilityEngine) -> None:
    model, tokenizer, _ = load_model("demo", "cpu", "eval")
    made = InterpretabilityEngine(model, tokenizer, engine.storage).generate_and_capture(PROMPT, max_tokens=3)
    with pytest.raises(OtherModelError, match="makes other tokens of the prompt"):
        engine.intervene(made["trace_id"], [OFF], anyway=True, on_notice=lambda text: None)


def test_what_it_was_made_with_is_done_again_unless_others_are_given(engine: InterpretabilityEngine) -> None:
    clean = engine.generate_and_capture(PROMPT, max_tokens=9)
    edited = engine.intervene(clean["trace_id"], [OFF])
    again, without = engine.intervene(edited["trace_id"]), engine.intervene(edited["trace_id"], [])
    assert (again["interventions"], without["interventions"]) == (edited["interventions"], [])
    ours = [tokens_of(engine, made["trace_id"]) for made in (clean, without, edited, again)]
    assert ours[0] == ours[1] != ours[2] == ours[3]
    assert again["position"] is None and without["position"] == edited["position"]
    for given in (None, []):
        with pytest.raises(SettingInvalidError, match="or another model than the one that wrote"):
            engine.intervene(clean["trace_id"], given)


@pytest.mark.parametrize(("layers", "expected"), [(None, [0, 1, 2, 3]), ([1], [2]), ([0, 2], [0, 3])])
def test_a_model_of_another_depth_is_captured_by_relative_depth(
    engine: InterpretabilityEngine, layers: list[int] | None, expected: list[int]
) -> None:
    model, tokenizer = golden_model(case="mha_full_context")
    assert (model.config.n_layer, engine.model.config.n_layer) == (3, 4)
    wanted = {"layers": layers, "sites": ["attention_weights", "post_mlp"]}
    made = InterpretabilityEngine(model, tokenizer, engine.storage).generate_and_capture(PROMPT, capture=wanted)
    child = engine.intervene(made["trace_id"], anyway=True, on_notice=lambda text: None)
    assert child["parent"] == made["trace_id"] and "n_layer 3, not 4" in child["notices"][0]
    plain = engine.generate_and_capture(PROMPT)
    assert tokens_of(engine, child["trace_id"]) == tokens_of(engine, plain["trace_id"])
    with engine.storage.open_trace(child["trace_id"]) as trace:
        assert attention_layers(trace) == expected
        sites = {name for name in trace.names() if name.endswith("post_mlp")}
        assert sites == {f"layer_activations.layer_{layer}.post_mlp" for layer in expected}


def test_a_chat_is_not_run_on_a_base_model_that_did_not_write_it(engine: InterpretabilityEngine) -> None:
    messages = [{"role": "user", "content": PROMPT}]
    made = engine.generate_and_capture(None, messages=messages, max_tokens=3)
    model, tokenizer = golden_model(case="mha_full_context")
    beside = InterpretabilityEngine(model, tokenizer, engine.storage)
    model.provenance["source"] = "base"
    with pytest.raises(OtherModelError, match=r"is a chat, and base d3 .*plain prompt"):
        beside.intervene(made["trace_id"], anyway=True)
    own = beside.generate_and_capture(None, messages=messages, max_tokens=3)
    assert beside.intervene(own["trace_id"], [OFF])["response_tokens"] > 0


def test_a_fork_is_not_run_on_tokens_that_mean_something_else(engine: InterpretabilityEngine) -> None:
    model, tokenizer, _ = load_model("demo", "cpu", "eval")
    beside = InterpretabilityEngine(model, tokenizer, engine.storage)
    made = engine.generate_and_capture(PROMPT, max_tokens=3)
    fork = engine.fork_trace(made["trace_id"], 3, text=" x")
    with pytest.raises(OtherModelError, match="makes other tokens"):
        beside.intervene(fork["trace_id"], anyway=True)
    other, _ = golden_model(case="mha_full_context")
    alike = InterpretabilityEngine(other, engine.tokenizer, engine.storage)
    child = alike.intervene(fork["trace_id"], anyway=True, on_notice=lambda text: None)
    assert child["prompt_tokens"] == fork["prompt_tokens"]


def test_what_cannot_be_run_again_is_refused(engine: InterpretabilityEngine) -> None:
    made = engine.generate_and_capture(PROMPT, max_tokens=3)
    with pytest.raises(SettingInvalidError, match="give at least one"):
        engine.intervene(made["trace_id"], [])
    with pytest.raises(TraceNotFoundError):
        engine.intervene("trace_1", [OFF])
    path = Path(made["path"])
    document = json.loads(path.read_text())
    del document["generation"]["seed"]
    path.write_text(json.dumps(document))
    with pytest.raises(SettingInvalidError, match=r"does not tell its seed.*capture its prompt anew"):
        engine.intervene(made["trace_id"], [OFF])


def test_an_intervention_may_make_numbers_that_are_none(engine: InterpretabilityEngine) -> None:
    with pytest.raises(NonFiniteError):
        engine.generate_and_capture(PROMPT, max_tokens=3, interventions=[OFF | {"op": "set", "value": 1e308}])


def test_a_trace_without_tensors_captures_none(engine: InterpretabilityEngine) -> None:
    made = engine.generate_and_capture(PROMPT, max_tokens=3, capture={"sites": [], "logits": None})
    with engine.storage.open_trace(made["trace_id"]) as trace:
        found = capture_of(trace.infos(), trace.fields.tokens.positions, 4, 4)
    assert found == CaptureSettings(None, (), None)
