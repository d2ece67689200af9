"""Interventions at work, on every golden checkpoint: what they do, where they do it, and that nothing of them stays."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from nanochat.capture.recorder import Recorder
from nanochat.capture.sites import SITES, CaptureSettings
from nanochat.engine import Engine
from nanochat.errors import ModelBusyError, SettingInvalidError
from nanochat.gpt import GPT
from nanochat.kv_cache import KVCache
from tests.models import random_model
from tests.nanochat.test_golden import CASES, GREEDY_PROMPT, load_case

CPU = torch.device("cpu")
COUNT, P = 40, 12  # tokens of a text at most, and of them the prompt's
EDITABLE = [name for name, site in SITES.items() if site.editable]
Data = list[dict[str, Any]]


def golden(case: str) -> tuple[GPT, list[int], Any]:
    """A golden case's model, its text, and its tokenizer."""
    model, tokenizer, found = load_case(case, CPU)
    return model, found["tokens"][:COUNT].tolist(), tokenizer


def layer_of(site: str) -> dict[str, int]:
    return {"layer": 1} if SITES[site].in_layers else {}


def cache_of(model: GPT, rows: int, room: int) -> KVCache:
    config = model.config
    return KVCache(rows, config.n_kv_head, room, config.head_dim, config.n_layer, CPU, model.compute_dtype)


@torch.inference_mode()
def whole(model: GPT, ids: Sequence[int]) -> torch.Tensor:
    return model(torch.tensor([list(ids)]))[0]


@torch.inference_mode()
def chunked(model: GPT, ids: Sequence[int], chunk: int) -> torch.Tensor:
    cache = cache_of(model, 1, len(ids))
    return torch.cat([model(part, kv_cache=cache)[0] for part in torch.tensor([list(ids)]).split(chunk, dim=1)])


@torch.inference_mode()
def beside_others(model: GPT, ids: Sequence[int]) -> torch.Tensor:
    """The last positions' logits of a row that goes on from 9 while others stand at 2 and 20, in pieces of 4."""
    starts, caches = (2, 9, 20), []
    together = cache_of(model, len(starts), len(ids) + 12)
    for row, start in enumerate(starts):
        caches.append(cache_of(model, 1, start))
        model(torch.tensor([list(ids)[:start] if row == 1 else [7] * start]), kv_cache=caches[-1])
        together.load_row(row, caches[-1])
    rest = torch.tensor([list(ids)[9:]])
    rows = torch.cat([rest.flip(1), rest, rest.roll(3)])
    return torch.cat([model(part, kv_cache=together)[1] for part in rows.split(4, dim=1)])


def written(model: GPT, tokenizer: Any, prompt: list[int], count: int = 16) -> list[int]:
    engine = Engine(model, tokenizer)
    engine.end_tokens = frozenset()
    return [step.tokens[0] for step in engine.steps(prompt, max_tokens=count, temperature=0.0)]


def close(found: torch.Tensor, expected: torch.Tensor) -> bool:
    return torch.allclose(found, expected, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("summed_in")
def test_a_head_of_zeros_is_zero_columns_of_its_weights(case: str) -> None:
    model, text, tokenizer = golden(case)
    other, _, _ = golden(case)
    heads, size = model.config.n_head, model.config.head_dim
    prompt = text[:GREEDY_PROMPT]
    plain = written(model, tokenizer, prompt)
    for layer, head in {(0, 0), (1, heads - 1), (model.config.n_layer - 1, 1)}:
        with torch.no_grad():
            columns = other.transformer.h[layer].attn.c_proj.weight[:, head * size : (head + 1) * size]
            before = columns.clone()
            columns.zero_()
        expected, logits = written(other, tokenizer, prompt), whole(other, text)
        with torch.no_grad():
            columns.copy_(before)
        off = {"op": "zero", "layer": layer, "heads": [head]}
        with model.editing([off | {"site": "head_output"}]):
            assert written(model, tokenizer, prompt) == expected
            assert torch.equal(whole(model, text), logits)
        for site in ("attention_weights", "z"):
            with model.editing([off | {"site": site}]):
                assert written(model, tokenizer, prompt) == expected
                assert close(whole(model, text), logits)
    assert written(model, tokenizer, prompt) == plain


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("site", EDITABLE)
@pytest.mark.usefixtures("summed_in")
def test_times_one_changes_no_bit(case: str, site: str) -> None:
    model, text, _ = golden(case)
    plain, pieces = whole(model, text), chunked(model, text, 7)
    with model.editing([{"op": "scale", "site": site, **layer_of(site), "value": 1}]) as changes:
        assert torch.equal(whole(model, text), plain)
        assert torch.equal(chunked(model, text, 7), pieces)
    assert changes.touched == [len(text)]


EDITS: dict[str, Callable[[GPT], Data]] = {
    "a head off": lambda model: [{"op": "zero", "site": "head_output", "layer": 1, "heads": [1]}],
    "a head's mean": lambda model: [{"op": "mean", "site": "head_output", "layer": 0, "heads": [0, 1]}],
    "a head's output": lambda model: [
        {"op": "set", "site": "head_output", "layer": 1, "heads": [0], "value": 0.25, "positions": [[5, 30]]},
        {"op": "scale", "site": "head_output", "layer": 1, "heads": [0, 1], "value": 0.5},
    ],
    "the stream": lambda model: [
        {"op": "add", "site": "residual", "layer": 2, "positions": [3, [8, 15], 33], "value": 1.5},
        {"op": "zero", "site": "residual", "layer": 0, "positions": [17]},
    ],
    "q, k and v": lambda model: [
        {"op": "zero", "site": "q", "layer": 1, "heads": [1]},
        {"op": "scale", "site": "k", "layer": 0, "heads": [0], "value": -1.0, "positions": "generated"},
        {"op": "mean", "site": "v", "layer": 1, "positions": "prompt"},
    ],
    "the first key alone": lambda model: [{"op": "set", "site": "attention_weights", "layer": 1, "value": [1.0]}],
    "more on every key": lambda model: [
        {"op": "add", "site": "attention_weights", "layer": 0, "heads": [1], "value": 0.1, "positions": [[2, 25]]}
    ],
    "neurons": lambda model: [
        {"op": "add", "site": "mlp_hidden", "layer": 1, "neurons": [0, 5], "value": [2.0, -1.0]},
        {"op": "zero", "site": "mlp_hidden", "layer": 0, "neurons": [3], "positions": "last"},
    ],
    "norms, parts, ends": lambda model: [
        {"op": "scale", "site": "pre_attn_norm", "layer": 1, "value": 0.5},
        {"op": "mean", "site": "pre_mlp_norm", "layer": 0},
        {"op": "zero", "site": "post_attn", "layer": 0, "positions": [[0, 20]]},
        {"op": "mean", "site": "post_mlp", "layer": 1, "positions": "generated"},
        {"op": "add", "site": "token_embeddings", "value": 0.5, "positions": [2, 9, 21]},
        {"op": "scale", "site": "final_residual", "value": 0.9},
    ],
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", EDITS)
def test_it_is_the_same_with_the_cache_in_chunks_and_beside_other_rows(case: str, name: str) -> None:
    model, text, _ = golden(case)
    plain = whole(model, text)
    with model.editing(EDITS[name](model), text[:P]) as changes:
        expected = whole(model, text)
        touched = changes.touched
        for chunk in (1, 7):
            assert close(chunked(model, text, chunk), expected), chunk
        assert close(beside_others(model, text), expected[9:])
        assert changes.touched[0] >= touched[0] and all(touched)
    assert not close(plain, expected)
    assert torch.equal(whole(model, text), plain)


@pytest.mark.parametrize(
    ("positions", "count"), [("all", 40), ("prompt", 12), ("generated", 28), ("last", 1), ([0, [4, 9], 8, 300], 6)]
)
def test_it_tells_how_many_positions_it_touched(positions: Any, count: int) -> None:
    model, text, _ = golden("F/gqa_windowed")
    item = {"op": "zero", "site": "head_output", "layer": 1, "heads": [1], "positions": positions}
    with model.editing([item, item | {"site": "post_mlp", "heads": None}], text[:P]) as changes:
        for run in (whole, lambda model, ids: chunked(model, ids, 7)):
            run(model, text)
            assert changes.touched == [count, count]


def test_only_what_follows_a_touched_position_changes() -> None:
    model, text, _ = golden("B/mha_full_context")
    plain = whole(model, text)
    for site in EDITABLE:
        item = {"op": "add", "site": site, **layer_of(site), "value": 0.75, "positions": [20]}
        with model.editing([item]):
            changed = (whole(model, text) != plain).any(-1)
        assert not changed[:20].any() and changed[20], site


def captured_with(model: GPT, text: list[int], interventions: Data) -> dict[str, torch.Tensor]:
    settings = CaptureSettings(sites=tuple(SITES), logits=None)
    recorder = Recorder(model.config, settings, len(text), 1, CPU, model.dtype)
    with model.editing(interventions, text[:P]), model.capturing(recorder):
        whole(model, text)
    return recorder.tensors(0)


@pytest.mark.parametrize("site", [name for name in EDITABLE if name != "attention_weights"])
def test_the_mean_is_the_prompts_of_the_model_as_it_is(site: str) -> None:
    model, text, _ = golden("F/gqa_windowed")
    name = SITES[site].tensor_name(layer_of(site).get("layer", 0))
    recorder = Recorder(model.config, CaptureSettings(sites=(site,), logits=None), P, 1, CPU, model.dtype)
    with model.capturing(recorder):
        whole(model, text[:P])
    mean = recorder.tensors(0)[name][0].double().mean(0)
    item = {"op": "mean", "site": site, **layer_of(site), "positions": [[4, 30]]}
    found = captured_with(model, text, [item])[name][0].double()
    assert torch.allclose(found[4:30], mean.expand_as(found[4:30]), rtol=1e-5, atol=1e-6)
    assert not torch.allclose(found[:4], mean.expand_as(found[:4]), atol=1e-3)


def test_a_vector_of_attention_is_over_keys_from_the_first() -> None:
    model, text, _ = golden("A/mha_full_context")
    item = {"op": "set", "site": "attention_weights", "layer": 1, "heads": [1], "value": [0.25, 0.75]}
    weights = captured_with(model, text, [item])["attention_weights.layer_1"][0]
    assert weights[1, 0].tolist() == [0.25] + [0.0] * (len(text) - 1)  # the first query sees the first key alone
    assert weights[1, 1:, :2].tolist() == [[0.25, 0.75]] * (len(text) - 1) and weights[1, :, 2:].count_nonzero() == 0
    assert weights[0].sum(-1).allclose(torch.ones(len(text)))


def test_they_are_done_in_the_order_given() -> None:
    model, text, _ = golden("C/gqa_windowed")
    base = {"site": "head_output", "layer": 1, "heads": [0]}
    add, zero, double = base | {"op": "add", "value": 2.0}, base | {"op": "zero"}, base | {"op": "scale", "value": 2.0}
    name = "layer_activations.layer_1.head_output"
    for order, value in (([add, zero], 0.0), ([zero, add, double], 4.0), ([double, zero, add], 2.0)):
        found = captured_with(model, text, order)[name][0, :, 0]
        assert found.allclose(torch.full_like(found, value), atol=1e-6)


class StoppedError(Exception):
    pass


def _stop_while_editing(model: GPT, text: list[int], plain: torch.Tensor) -> None:
    with model.editing(EDITS["norms, parts, ends"](model), text[:P]):
        assert not close(whole(model, text), plain)
        raise StoppedError


@pytest.mark.parametrize("case", CASES)
def test_nothing_of_it_stays(case: str) -> None:
    model, text, _ = golden(case)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    recorder = Recorder(model.config, CaptureSettings(), COUNT, 1, CPU, model.dtype)
    with model.capturing(recorder):
        plain = whole(model, text)
    tap, seen = model.tap, model.transformer.h[0].post_mlp
    with pytest.raises(StoppedError):
        _stop_while_editing(model, text, plain)
    assert model.tap is tap and torch.equal(model.transformer.h[0].post_mlp, seen)
    assert torch.equal(whole(model, text), plain)
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_a_capture_inside_shows_the_change_and_may_end_before_it() -> None:
    model, text, _ = golden("F/gqa_windowed")
    plain = whole(model, text)
    off = [{"op": "zero", "site": "post_mlp", "layer": 1}]
    recorder = Recorder(model.config, CaptureSettings(), COUNT, 1, CPU, model.dtype)
    with model.editing(off):
        edited = whole(model, text)
        with model.capturing(recorder):
            assert torch.equal(whole(model, text), edited)
        assert torch.equal(whole(model, text), edited)
    assert not model.transformer.h[1].post_mlp.any()
    assert torch.equal(whole(model, text), plain)
    with model.editing(off):
        model.attach(None)
        assert torch.equal(whole(model, text), edited)
    assert model.tap is not None and torch.equal(whole(model, text), plain)


def test_blocks_may_be_nested() -> None:
    model, text, _ = golden("D/gqa_windowed")
    one, other = ({"op": "scale", "site": "post_mlp", "layer": 1, "value": value} for value in (0.5, 3.0))
    with model.editing([one, other]):
        both = whole(model, text)
    with model.editing([one]):
        outer = whole(model, text)
        with model.editing([other]):
            assert torch.equal(whole(model, text), both)
        assert torch.equal(whole(model, text), outer)
    assert not torch.equal(outer, both)


def test_it_waits_for_no_capture_of_its_own_thread() -> None:
    model, text, _ = golden("F/gqa_windowed")
    recorder = Recorder(model.config, CaptureSettings(), COUNT, 1, CPU, model.dtype)
    with model.capturing(recorder):
        with pytest.raises(ModelBusyError), model.editing([{"op": "zero", "site": "post_mlp", "layer": 1}]):
            pass
        whole(model, text)
    assert recorder.length == COUNT


def test_without_interventions_there_is_nothing_to_do() -> None:
    with pytest.raises(SettingInvalidError, match="give at least one"), random_model().editing([]):
        pass


def test_a_value_too_large_for_the_dtype_is_refused() -> None:
    model = random_model().half()
    with (
        pytest.raises(SettingInvalidError, match=r"interventions\[0\]: its value is too large for torch.float16"),
        model.editing([{"op": "set", "site": "post_mlp", "layer": 1, "value": 1e6}]),
    ):
        pass


def test_a_model_in_training_learns_through_it() -> None:
    model, text, _ = golden("F/gqa_windowed")
    ids = torch.tensor([text])
    with model.editing([{"op": "zero", "site": "post_mlp", "layer": 1}]):
        model(ids[:, :-1], ids[:, 1:]).backward()
    gradients = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
    assert not gradients["transformer.h.1.mlp.c_proj.weight"].any()
    assert gradients["transformer.h.2.mlp.c_proj.weight"].any()
    assert all(math.isfinite(float(value.sum())) for value in gradients.values())
