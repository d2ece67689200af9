"""Values taken from elsewhere, beside what plain hooks of torch's make of the same numbers; and what is refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nanochat.capture.interventions import parse_interventions
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
from nanochat.gpt import GPT
from nanochat.interpretability_engine import InterpretabilityEngine
from nanochat.tokenizer import RustBPETokenizer
from nanochat.trace_storage import TraceStorage
from nanochat.why.values import resolved
from tests.models import golden_model

PROMPT, OTHER, LONGER = "abc abd", "xbc abd", "what is abd abd"
ERAS = ("A", "C", "D", "F")
SITES = ("post_mlp", "z", "head_output", "attention_weights")
CAPTURE = {"sites": list(SITES), "logits": None}
LAYER = 1


def at(op: str, value: Any, site: str = "post_mlp", **more: Any) -> dict[str, Any]:
    return {"op": op, "site": site, "layer": LAYER, "value": value, **more}


def ids_of(tokenizer: RustBPETokenizer, prompt: str) -> list[int]:
    return tokenizer.encode(prompt, prepend=tokenizer.get_bos_token_id())


@torch.inference_mode()
def logits(model: GPT, ids: Sequence[int]) -> Tensor:
    return model(torch.tensor([list(ids)]))[0]


def mlp_outputs(model: GPT, ids: Sequence[int]) -> Tensor:
    """What the layer's MLP gives, (T, C), by a hook of torch's."""
    found: list[Tensor] = []
    hook = model.transformer.h[LAYER].mlp.register_forward_hook(lambda module, given, out: found.append(out[0].clone()))
    logits(model, ids)
    hook.remove()
    return found[0]


def with_output(model: GPT, ids: Sequence[int], change: Any) -> Tensor:
    """The logits where the MLP's output (B, T, C) is changed, by a hook of torch's."""
    module: nn.Module = model.transformer.h[LAYER].mlp
    hook = module.register_forward_hook(lambda module, given, out: change(out))
    found = logits(model, ids)
    hook.remove()
    return found


def edited(
    model: GPT, tokenizer: RustBPETokenizer, storage: TraceStorage, item: dict[str, Any], ids: list[int]
) -> Tensor:
    with model.editing(resolved([item], model, tokenizer, storage), ids) as changes:
        found = logits(model, ids)
    assert changes.touched[0] > 0
    return found


def close(found: Tensor, expected: Tensor) -> bool:
    return torch.allclose(found, expected, rtol=1e-4, atol=2e-4)


@pytest.fixture(params=ERAS)
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[GPT, RustBPETokenizer, InterpretabilityEngine]:
    model, tokenizer = golden_model(request.param)
    return model, tokenizer, InterpretabilityEngine(model, tokenizer, tmp_path / "traces")


def test_the_difference_of_two_prompts_and_a_mean_over_others_are_as_by_hooks(ground: Any) -> None:
    model, tokenizer, engine = ground
    ids, tap = ids_of(tokenizer, PROMPT), model.tap
    plain = logits(model, ids)
    one, other, longer = (mlp_outputs(model, ids_of(tokenizer, text)) for text in (PROMPT, OTHER, LONGER))
    steering = (one.mean(0) - longer.mean(0)) * 2.5
    over_all = torch.cat([other, longer]).mean(0)
    difference = {"difference": [PROMPT, LONGER], "times": 2.5}
    for item, change in (
        (at("add", difference), lambda out: out + steering),
        (at("set", difference), lambda out: steering.expand_as(out)),
        (at("mean", {"mean_over": [OTHER, LONGER]}), lambda out: over_all.expand_as(out)),
        (at("add", difference, positions="last"), lambda out: torch.cat([out[:, :-1], out[:, -1:] + steering], 1)),
    ):
        expected = with_output(model, ids, change)
        assert close(edited(model, tokenizer, engine.storage, item, ids), expected)
        assert not close(plain, expected)
    assert model.tap is tap and torch.equal(logits(model, ids), plain)


def test_another_traces_values_are_put_there(ground: Any) -> None:
    model, tokenizer, engine = ground
    ids = ids_of(tokenizer, PROMPT)
    assert len(ids) <= len(ids_of(tokenizer, LONGER))
    trace = engine.generate_and_capture(LONGER, max_tokens=3, capture=CAPTURE)["trace_id"]
    theirs = mlp_outputs(model, ids_of(tokenizer, LONGER))
    for item, change in (
        (
            at("set", {"trace": trace}, positions=[[1, len(ids)]]),
            lambda out: torch.cat([out[:, :1], theirs[None, 1 : len(ids)]], 1),
        ),
        (at("add", {"trace": trace, "position": 2}, positions="prompt"), lambda out: out + theirs[2]),
    ):
        expected = with_output(model, ids, change)
        assert close(edited(model, tokenizer, engine.storage, item, ids), expected)
        assert not close(logits(model, ids), expected)


@pytest.mark.parametrize("site", SITES)
def test_its_own_values_change_nothing_and_those_of_another_are_seen(ground: Any, site: str) -> None:
    _, _, engine = ground
    made = {
        prompt: engine.generate_and_capture(prompt, max_tokens=3, temperature=0.0, capture=CAPTURE)
        for prompt in (PROMPT, OTHER)
    }
    name = (
        f"attention_weights.layer_{LAYER}" if site == "attention_weights" else f"layer_activations.layer_{LAYER}.{site}"
    )
    own = engine.intervene(made[PROMPT]["trace_id"], [at("set", {"trace": made[PROMPT]["trace_id"]}, site)])
    other = engine.intervene(
        made[PROMPT]["trace_id"], [at("set", {"trace": made[OTHER]["trace_id"]}, site, positions="prompt")]
    )
    count = made[PROMPT]["prompt_tokens"]
    found = {}
    for key, trace in (("parent", made[PROMPT]), ("own", own), ("source", made[OTHER]), ("other", other)):
        with engine.storage.open_trace(trace["trace_id"]) as opened:
            values = opened.tensor(name, 0)
            found[key] = values[:, :count, :count] if site == "attention_weights" else values[:count]
    assert own["position"] is None and np.allclose(found["own"], found["parent"], atol=1e-6)
    assert np.allclose(found["other"], found["source"], atol=1e-6)
    assert not np.allclose(found["other"], found["parent"], atol=1e-4)


def test_it_is_the_same_token_by_token_and_in_one_forward(ground: Any) -> None:
    """A generation goes on over its cache; a forward of the whole text has none."""
    model, tokenizer, engine = ground
    trace = engine.generate_and_capture(OTHER, max_tokens=6, capture=CAPTURE)["trace_id"]
    item = at("set", {"trace": trace}, "head_output", heads=[0])
    made = engine.generate_and_capture(
        PROMPT, max_tokens=6, interventions=[item], capture={"sites": [], "logits": "all"}
    )
    with engine.storage.open_trace(made["trace_id"]) as opened:
        tokens = opened.fields.tokens
        ids, found = [*tokens.prompt, *tokens.generated[:-1]], torch.tensor(opened.logits())
    whole = edited(model, tokenizer, engine.storage, item | {"positions": [[0, len(ids)]]}, ids)
    assert close(found, whole.float()[:, : found.size(1)])


def test_the_child_tells_it_as_it_was_asked_and_can_be_run_again(tmp_path: Path) -> None:
    model, tokenizer, _ = load_model("demo", "cpu", "eval")
    engine = InterpretabilityEngine(model, tokenizer, tmp_path)
    settings: Any = {"max_tokens": 5, "temperature": 0.0}
    spain = engine.generate_and_capture(
        "The capital of Spain is", capture={"sites": ["post_mlp"], "logits": None}, **settings
    )
    france = engine.generate_and_capture("The capital of France is", **settings)
    given = [
        {"op": "set", "site": "post_mlp", "layer": 3, "positions": "all", "value": {"trace": spain["trace_id"]}},
        {"op": "mean", "site": "post_attn", "layer": 0, "positions": [0], "value": {"mean_over": ["Gold", "The sea"]}},
        {"op": "mean", "site": "post_attn", "layer": 1, "positions": [0], "value": {"mean_over": "trace"}},
    ]
    child = engine.intervene(france["trace_id"], given)
    assert (spain["response"], france["response"], child["response"]) == (" Madrid.", " Paris.", " Madrid.")
    with engine.storage.open_trace(child["trace_id"]) as opened:
        told = opened.document["interventions"]
    assert told == given == child["interventions"]
    again = engine.intervene(france["trace_id"], told)
    assert again["response"] == child["response"] and again["touched"] == child["touched"]
    engine.storage.delete_trace(spain["trace_id"])
    with pytest.raises(TraceNotFoundError, match=r"interventions\[0\]: There is no trace"):
        engine.intervene(france["trace_id"], told)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[InterpretabilityEngine, str, str]:
    """A model with a trace of its own, and one of another model."""
    model, tokenizer = golden_model()
    engine = InterpretabilityEngine(model, tokenizer, tmp_path_factory.mktemp("values"))
    trace = engine.generate_and_capture(
        PROMPT, max_tokens=1, capture={"sites": ["post_mlp"], "layers": [1], "logits": None}
    )
    other = InterpretabilityEngine(golden_model("A")[0], tokenizer, engine.storage)
    foreign = other.generate_and_capture(PROMPT, max_tokens=1, capture=CAPTURE)
    return engine, trace["trace_id"], foreign["trace_id"]


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"value": {"trace": "trace_1"}}, TraceNotFoundError, "There is no trace trace_1"),
        ({"value": {"trace": "../x"}}, TraceIdInvalidError, "is no trace id"),
        (
            {"value": {"trace": "FOREIGN"}},
            OtherModelError,
            "was written by another model: .*era A, not F.* of this one",
        ),
        (
            {"value": {"trace": "OWN"}, "layer": 0},
            SettingInvalidError,
            "did not capture .*layer_0.post_mlp.*--sites post_mlp",
        ),
        ({"value": {"trace": "OWN"}, "site": "z"}, SettingInvalidError, "did not capture .*--sites z"),
        ({"value": {"trace": "OWN", "position": 400}}, SettingInvalidError, "has no position 400: it has 0 to"),
        ({"value": {"trace": "OWN"}, "positions": "all"}, SettingInvalidError, "it may touch position"),
        ({"value": {"difference": [PROMPT, "x" * 9000]}}, PromptTooLongError, r"interventions\[0\]: The prompt has"),
    ],
)
def test_what_is_not_there_is_refused_before_any_work(
    small: Any, change: Any, kind: type[NanoscopeError], said: str
) -> None:
    engine, own, foreign = small
    value = {
        key: {"OWN": own, "FOREIGN": foreign}.get(item, item) if isinstance(item, str) else item
        for key, item in change["value"].items()
    }
    before = engine.storage.list_traces()
    with pytest.raises(kind, match=said):
        engine.generate_and_capture(PROMPT, max_tokens=4, interventions=[at("set", 1.0) | change | {"value": value}])
    assert engine.storage.list_traces() == before


@pytest.mark.parametrize(
    ("op", "value", "said"),
    [
        ("set", {}, "give one of trace, difference, mean_over"),
        ("set", {"trace": "a", "difference": ["a", "b"]}, "give one of"),
        ("set", {"tensor": [1.0]}, "give one of"),
        ("set", {"trace": "a", "times": 2}, "its value has no 'times': use position, trace"),
        ("set", {"difference": ["a", "b"], "position": 2}, "has no 'position': use difference, times"),
        ("set", {"trace": ""}, "give an id"),
        ("set", {"trace": 3}, "its value's trace is 3"),
        ("set", {"trace": "a", "position": -1}, "use a whole number from 0"),
        ("set", {"trace": "a", "position": True}, "use a whole number from 0"),
        ("add", {"difference": ["a"]}, "give two prompts"),
        ("add", {"difference": ["a", ""]}, "give two prompts"),
        ("add", {"difference": ["a", 3]}, "give two prompts"),
        ("add", {"difference": ["a", "b"], "times": float("inf")}, "NaN, infinity"),
        ("add", {"difference": ["a", "b"], "times": "2"}, "'2' is no number"),
        ("scale", {"difference": ["a", "b"]}, "scale takes no difference: add and set do"),
        ("set", {"mean_over": ["a"]}, "set takes no mean_over: mean does"),
        ("mean", {"trace": "a"}, "mean takes no trace"),
        ("mean", {"mean_over": []}, 'give "trace" or a list of prompts'),
        ("mean", {"mean_over": "prompt"}, 'give "trace" or a list of prompts'),
        ("zero", {"trace": "a"}, "zero takes no value"),
        ("set", [[1.0, 2.0], [1.0]], "not all of one length"),
        ("set", [[1.0, 2.0]], "its numbers are 1 x 2, and post_mlp needs 48"),
        ("set", torch.full((48,), torch.nan), "NaN, infinity"),
    ],
)
def test_a_value_of_another_form_is_refused(op: str, value: Any, said: str) -> None:
    with pytest.raises(SettingInvalidError) as refused:
        parse_interventions([at(op, value)], golden_model()[0].config)
    assert str(refused.value).startswith("interventions[0]: ") and said in str(refused.value)


@pytest.mark.parametrize(("op", "value"), [("add", {"difference": ["a", "b"]}), ("mean", {"mean_over": ["a"]})])
def test_attention_weights_have_no_mean(op: str, value: Any) -> None:
    with pytest.raises(SettingInvalidError, match="attention weights have no mean"):
        parse_interventions([at(op, value, "attention_weights")], golden_model()[0].config)


def test_tensors_are_values_and_what_is_not_numbers_yet_is_refused() -> None:
    model, tokenizer = golden_model()
    ids = ids_of(tokenizer, PROMPT)
    rows = torch.randn(len(ids), model.config.n_embd, generator=torch.Generator().manual_seed(1))
    for given, change in (
        (rows, lambda out: rows[None].to(out.dtype)),
        (rows[0].numpy(), lambda out: rows[0].to(out.dtype).expand_as(out)),
    ):
        with model.editing([at("set", given, positions="prompt")], ids):
            found = logits(model, ids)
        assert close(found, with_output(model, ids, change))
    with (
        pytest.raises(SettingInvalidError, match=r"use `nanochat\.why\.values\.resolved`"),
        model.editing([at("add", {"difference": ["a", "b"]})], ids),
    ):
        pass


def test_a_cancel_is_seen_and_nothing_of_it_stays(small: Any) -> None:
    import threading

    engine, _, _ = small
    cancel = threading.Event()
    cancel.set()
    tap, before = engine.model.tap, engine.storage.list_traces()
    with pytest.raises(CancelledError):
        resolved([at("add", {"difference": ["a", "b"]})], engine.model, engine.tokenizer, engine.storage, cancel)
    assert engine.model.tap is tap and engine.storage.list_traces() == before
