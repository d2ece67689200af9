"""A trace forked: what is kept, what is put there, and that a fork which changes nothing repeats the trace."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nanochat.checkpoint_manager import load_model
from nanochat.errors import (
    CancelledError,
    NanoscopeError,
    OtherModelError,
    PromptTooLongError,
    SettingInvalidError,
    TraceIdInvalidError,
    TraceNotFoundError,
)
from nanochat.interpretability_engine import InterpretabilityEngine, TokenEvent
from nanochat.sampling import sample_next_token
from nanochat.trace_storage import TraceStorage
from tests.models import GOLDEN, golden_model, write_tokens
from tests.nanochat.why.models import CASES

PROMPT = "The capital of France is"
OFF: dict[str, Any] = {"op": "zero", "site": "post_mlp", "layer": 1}
ALL = {"sites": ["residual", "post_attn", "attention_weights"], "logits": "all"}
SAMPLED: dict[str, Any] = {"max_tokens": 8, "temperature": 1.0, "top_k": None, "seed": 7, "capture": ALL}


def engine_of(folder: Path, model: Any, tokenizer: Any) -> InterpretabilityEngine:
    storage = TraceStorage(folder / "traces", format="safetensors", catalogue=folder / "catalogue.sqlite3")
    return InterpretabilityEngine(model, tokenizer, storage)


@pytest.fixture
def engine(tmp_path: Path) -> InterpretabilityEngine:
    return engine_of(tmp_path, *golden_model())


def ids_of(engine: InterpretabilityEngine, trace_id: str) -> list[int]:
    with engine.storage.open_trace(trace_id) as trace:
        return trace.fields.tokens.all


def same_values(engine: InterpretabilityEngine, one: str, other: str) -> None:
    with engine.storage.open_trace(one) as a, engine.storage.open_trace(other) as b:
        assert a.fields.tokens.all == b.fields.tokens.all
        assert a.infos() == b.infos()
        for name in a.names():
            assert a.tensor(name).tobytes() == b.tensor(name).tobytes(), name


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("case", CASES)
def test_a_fork_that_changes_nothing_repeats_the_trace_to_the_last_bit(tmp_path: Path, case: str, dtype: str) -> None:
    era = "D" if case.startswith("D/") else None
    model, tokenizer, _ = load_model(GOLDEN / case, "cpu", "eval", era=era, dtype=dtype)
    engine = engine_of(tmp_path, model, tokenizer)
    parent = engine.generate_and_capture(PROMPT, **SAMPLED)
    ids, length = ids_of(engine, parent["trace_id"]), parent["prompt_tokens"]
    for position in (length - 1, length, len(ids) - 2, len(ids) - 1):
        child = engine.fork_trace(parent["trace_id"], position, ids[position])
        same_values(engine, parent["trace_id"], child["trace_id"])


def test_what_follows_is_what_the_model_says_after_that_token_with_the_random_numbers_of_its_position(
    engine: InterpretabilityEngine,
) -> None:
    parent = engine.generate_and_capture(PROMPT, **SAMPLED)
    ids, length = ids_of(engine, parent["trace_id"]), parent["prompt_tokens"]
    at = length + 2
    put = (ids[at] + 1) % 256
    child = engine.fork_trace(parent["trace_id"], at, put)
    found = ids_of(engine, child["trace_id"])
    rng = torch.Generator().manual_seed(7)
    expected = ids[:length]
    with torch.inference_mode():
        while len(expected) < len(found):
            drawn = int(sample_next_token(engine.model(torch.tensor([expected]))[:, -1], rng, 1.0, None))
            kept = [*ids[:at], put][len(expected) : len(expected) + 1]
            expected.append(kept[0] if kept else drawn)
    assert found == expected
    assert found[at] == put and found != ids
    with engine.storage.open_trace(child["trace_id"]) as trace:
        document = trace.document
        assert document["forced"] == trace.fields.forced == [at]
        assert (document["parent"], document["position"]) == (parent["trace_id"], at)
        assert [i for i, forced in enumerate(trace.fields.tokens.forced) if forced] == [at]
        surprisal = document["analysis"]["logits"]["surprisal_per_token"][at - length]
        with torch.inference_mode():
            chance = engine.model(torch.tensor([found[:at]]))[0, -1].log_softmax(-1)[put]
        assert surprisal == pytest.approx(-float(chance) / np.log(2), abs=1e-4)
    assert (child["parent"], child["position"], child["touched"]) == (parent["trace_id"], at, [])
    assert child["summary"]["position"] == at
    rows = {entry.trace_id: (entry.parent, entry.position) for entry in engine.storage.list_entries()}
    assert rows == {parent["trace_id"]: (None, None), child["trace_id"]: (parent["trace_id"], at)}
    again = TraceStorage(engine.storage.directory, catalogue=None)
    assert {entry.trace_id: (entry.parent, entry.position) for entry in again.list_entries()} == rows


def test_a_text_of_several_tokens_and_a_limit(engine: InterpretabilityEngine) -> None:
    parent = engine.generate_and_capture(PROMPT, max_tokens=4)
    at, events = parent["prompt_tokens"] + 1, list[TokenEvent]()
    put = engine.tokenizer.encode("Rome, ")
    assert len(put) > 3
    child = engine.fork_trace(parent["trace_id"], at, text="Rome, ", max_tokens=2, on_token=events.append)
    found = ids_of(engine, child["trace_id"])
    assert found == [*ids_of(engine, parent["trace_id"])[:at], *put, *found[-2:]]
    assert [event.token for event in events] == found[parent["prompt_tokens"] :]
    assert [event.position for event in events if event.forced] == list(range(at, at + len(put)))
    alone = engine.fork_trace(parent["trace_id"], at, text="Rome, ")  # longer than what the trace had left
    assert ids_of(engine, alone["trace_id"]) == found[:-2]


def test_a_fork_of_the_prompt_has_a_prompt_of_its_own(engine: InterpretabilityEngine) -> None:
    messages = [{"role": "user", "content": PROMPT}]
    parent = engine.generate_and_capture(None, messages=messages, **SAMPLED)
    ids = ids_of(engine, parent["trace_id"])
    child = engine.fork_trace(parent["trace_id"], 5, text="Rome")
    put = engine.tokenizer.encode("Rome")
    with engine.storage.open_trace(child["trace_id"]) as trace:
        assert trace.fields.tokens.prompt == [*ids[:5], *put]
        assert trace.fields.prompt == engine.tokenizer.decode([*ids[1:5], *put])
        assert not trace.fields.messages and trace.fields.forced == list(range(5, 5 + len(put)))
    again = engine.fork_trace(child["trace_id"], 5 + len(put), ids_of(engine, child["trace_id"])[5 + len(put)])
    same_values(engine, child["trace_id"], again["trace_id"])
    plain = engine.fork_trace(parent["trace_id"], parent["prompt_tokens"] - 1, ids[parent["prompt_tokens"] - 1])
    with engine.storage.open_trace(plain["trace_id"]) as trace:
        assert trace.fields.messages == messages


def test_forks_of_forks_and_other_runs_of_a_fork_keep_what_was_put_there(engine: InterpretabilityEngine) -> None:
    parent = engine.generate_and_capture(PROMPT, **SAMPLED)
    at = parent["prompt_tokens"] + 1
    one = engine.fork_trace(parent["trace_id"], at, 65)
    two = engine.fork_trace(one["trace_id"], at + 2, 66)
    with engine.storage.open_trace(two["trace_id"]) as trace:
        assert trace.fields.forced == [at, at + 2]
        assert [trace.fields.tokens.all[i] for i in (at, at + 2)] == [65, 66]
    changed = engine.intervene(two["trace_id"], [OFF])
    assert ids_of(engine, changed["trace_id"])[: at + 3] == ids_of(engine, two["trace_id"])[: at + 3]
    same = engine.intervene(two["trace_id"], [OFF | {"op": "scale", "value": 1.0}])
    same_values(engine, two["trace_id"], same["trace_id"])


def test_what_the_trace_was_made_with_is_changed_again_unless_said_otherwise(engine: InterpretabilityEngine) -> None:
    parent = engine.generate_and_capture(PROMPT, interventions=[OFF], **SAMPLED)
    ids, at = ids_of(engine, parent["trace_id"]), parent["prompt_tokens"] + 3
    child = engine.fork_trace(parent["trace_id"], at, ids[at])
    same_values(engine, parent["trace_id"], child["trace_id"])
    assert (child["interventions"], child["touched"]) == (parent["interventions"], parent["touched"])
    other = engine.fork_trace(parent["trace_id"], at, ids[at], interventions=[])
    assert other["interventions"] == [] and ids_of(engine, other["trace_id"])[:at] == ids[:at]
    with engine.storage.open_trace(other["trace_id"]) as trace:
        assert trace.activation(1, "post_attn").any()
    plain = engine.generate_and_capture(PROMPT, **SAMPLED)
    off = engine.fork_trace(plain["trace_id"], at, 65, interventions=[OFF])
    assert off["touched"] == [off["prompt_tokens"] + off["response_tokens"] - 1]
    # the model is as before
    again = engine.generate_and_capture(PROMPT, **SAMPLED)
    same_values(engine, plain["trace_id"], again["trace_id"])


def test_the_calculator_goes_on_where_nothing_changed_and_stops_where_its_answer_was_replaced(
    engine: InterpretabilityEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    special, encode = engine.tokenizer.encode_special, engine.tokenizer.encode
    drawn = [special("<|python_start|>"), *encode("1+1"), special("<|python_end|>"), *[65] * 8]
    write_tokens(monkeypatch, drawn)
    parent = engine.generate_and_capture(PROMPT, max_tokens=len(drawn))
    ids = ids_of(engine, parent["trace_id"])
    at = ids.index(special("<|output_start|>"))
    assert ids[at : at + 3] == [special("<|output_start|>"), *encode("2"), special("<|output_end|>")]
    write_tokens(monkeypatch, drawn)
    same = engine.fork_trace(parent["trace_id"], at, ids[at])
    assert ids_of(engine, same["trace_id"]) == ids
    write_tokens(monkeypatch, drawn)
    other = engine.fork_trace(parent["trace_id"], at, 66)
    assert ids_of(engine, other["trace_id"])[at:] == [66, *[65] * (len(ids) - at - 1)]


def test_cancelled_on_the_way_it_leaves_nothing(engine: InterpretabilityEngine) -> None:
    parent = engine.generate_and_capture(PROMPT, max_tokens=9)
    cancel = threading.Event()
    with pytest.raises(CancelledError):
        engine.fork_trace(
            parent["trace_id"], parent["prompt_tokens"] + 2, 65, on_token=lambda event: cancel.set(), cancel=cancel
        )
    assert [path.stem for path in Path(engine.storage.directory).iterdir()] == [parent["trace_id"]]


BAD: dict[str, tuple[dict[str, Any], type[NanoscopeError], str]] = {
    "position 0": ({"position": 0, "token": 65}, SettingInvalidError, "no position 0 to fork at: there are 1 to "),
    "a position past the end": ({"position": 300, "token": 65}, SettingInvalidError, "no position 300 to fork at"),
    "no number": ({"position": True, "token": 65}, SettingInvalidError, "position True"),
    "a token that there is not": ({"token": 300}, SettingInvalidError, "no token 300: there are 0 to 299"),
    "a token below 0": ({"token": -1}, SettingInvalidError, "no token -1"),
    "a text that is no token": ({"token": "Rome"}, SettingInvalidError, "'Rome' is . tokens"),
    "an empty text": ({"text": ""}, SettingInvalidError, "'' is 0 tokens"),
    "half a character": ({"text": "\ud800"}, SettingInvalidError, "half a character"),
    "both": ({"token": 65, "text": "A"}, SettingInvalidError, "either a token or a text"),
    "neither": ({}, SettingInvalidError, "either a token or a text"),
    "a text that does not fit": ({"text": "z" * 3000}, PromptTooLongError, "token"),
    "max_tokens below 0": ({"token": 65, "max_tokens": -1}, SettingInvalidError, "max_tokens"),
    "an intervention that cannot be": ({"token": 65, "interventions": [{}]}, SettingInvalidError, "interventions"),
    "no such trace": ({"token": 65, "trace_id": "trace_1"}, TraceNotFoundError, "trace_1"),
    "no id": ({"token": 65, "trace_id": "../trace"}, TraceIdInvalidError, "trace"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_before_any_work(
    engine: InterpretabilityEngine, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    given, error, words = BAD[name]
    parent = engine.generate_and_capture(PROMPT, max_tokens=3)
    monkeypatch.setattr("nanochat.interpretability_engine.captured_run", None)
    with pytest.raises(error, match=words):
        engine.fork_trace(**{"trace_id": parent["trace_id"], "position": parent["prompt_tokens"], **given})


def test_a_parent_that_was_deleted_or_does_not_tell_how_it_was_made(engine: InterpretabilityEngine) -> None:
    made = engine.generate_and_capture(PROMPT, max_tokens=3, format="json")
    path = Path(made["path"])
    document = json.loads(path.read_text())
    del document["generation"]["seed"]
    path.write_text(json.dumps(document))
    with pytest.raises(SettingInvalidError, match="does not tell its seed"):
        engine.fork_trace(made["trace_id"], made["prompt_tokens"], 65)
    engine.storage.delete_trace(made["trace_id"])
    with pytest.raises(TraceNotFoundError):
        engine.fork_trace(made["trace_id"], made["prompt_tokens"], 65)


def test_a_trace_of_another_model_is_refused_by_name(engine: InterpretabilityEngine) -> None:
    made = engine.generate_and_capture(PROMPT, max_tokens=3)
    beside = InterpretabilityEngine(golden_model(case="mha_full_context")[0], engine.tokenizer, engine.storage)
    with pytest.raises(OtherModelError, match="was written by"):
        beside.fork_trace(made["trace_id"], made["prompt_tokens"], 65)
    child = beside.fork_trace(made["trace_id"], made["prompt_tokens"], 65, anyway=True, on_notice=lambda text: None)
    assert "was written by" in child["notices"][0]
