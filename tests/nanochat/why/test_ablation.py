"""The ablation scan beside models whose weights were zeroed, and its own parts."""

import copy
import threading
from typing import Any

import numpy as np
import pytest
import torch

from nanochat.capture.recorder import Recorder
from nanochat.capture.sites import CaptureSettings
from nanochat.errors import CancelledError, NonFiniteError, SettingInvalidError
from nanochat.gpt import GPT, Block
from nanochat.kv_cache import KVCache
from nanochat.why import ablation, switching_off
from nanochat.why.ablation import Outcome, ablation_scan
from nanochat.why.switching_off import Unit, run_rows
from tests.models import random_model
from tests.nanochat.why.models import EVERY, model_of

every_model = pytest.mark.parametrize("case", EVERY)


def zeroed(model: GPT, layer: int, head: int | None) -> GPT:
    """A copy in which what a head or an MLP writes is zero, by its weights."""
    other = copy.deepcopy(model)
    block = other.transformer.h[layer]
    with torch.no_grad():
        if head is None:
            block.mlp.c_proj.weight.zero_()
        else:
            width = model.config.head_dim
            block.attn.c_proj.weight[:, head * width : (head + 1) * width] = 0.0
    return other


@torch.inference_mode()
def logits_here(model: GPT, other: GPT, text: list[int]) -> torch.Tensor:
    """What the other model makes of the last token, over what the first one made of those before."""
    config = model.config
    sizes = (config.n_kv_head, len(text), config.head_dim, config.n_layer)
    cache = KVCache(1, *sizes, model.get_device(), model.compute_dtype)
    model(torch.tensor([text[:-1]]), kv_cache=cache)
    return other(torch.tensor([text[-1:]]), kv_cache=cache)[0, -1]


def assert_same(found: Outcome, logits: torch.Tensor, token: int) -> None:
    assert found.logit == pytest.approx(float(logits[token]), abs=1e-4)
    assert found.probability == pytest.approx(float(logits.softmax(-1)[token]), abs=1e-4)
    assert found.top[0][0] == int(logits.argmax())
    assert abs(found.rank - 1 - int((logits > logits[token]).sum())) <= int(
        ((logits - logits[token]).abs() < 1e-4).sum()
    )


@every_model
def test_it_is_what_zeroed_weights_make(case: str) -> None:
    model, tokens = model_of(case)
    position, token = min(len(tokens) - 1, 19), 7
    text = list(tokens[: position + 1])
    last = model.config.n_layer - 1
    scan = ablation_scan(model, tokens, position, token, layers=[0, last])
    heads = [*range(model.config.n_head), None]
    assert [(effect.layer, effect.head) for effect in scan.effects] == [
        (i, h) for i in sorted({0, last}) for h in heads
    ]
    with torch.inference_mode():
        assert_same(scan.baseline, model(torch.tensor([text]))[0, -1], token)
        for effect in scan.effects[:: 1 if len(scan.effects) < 8 else 2]:
            other = zeroed(model, effect.layer, effect.head)
            assert_same(effect.everywhere, other(torch.tensor([text]))[0, -1], token)
            assert_same(effect.here, logits_here(model, other, text), token)


@pytest.mark.parametrize("case", ["A", "F", "demo"])
def test_heads_looked_where_their_attention_is(case: str) -> None:
    model, tokens = model_of(case)
    position = len(tokens) - 1
    sites = CaptureSettings(sites=("attention_weights",), logits=None)
    recorder = Recorder(model.config, sites, len(tokens), 1, model.get_device(), model.compute_dtype)
    with model.capturing(recorder), torch.inference_mode():
        model(torch.tensor([tokens]))
    model.attach(None)
    for effect in ablation_scan(model, tokens, position).effects:
        if effect.head is None:
            assert effect.looked == []
            continue
        view = recorder.view("attention_weights", effect.layer)
        assert view is not None
        row = view[0, effect.head, position].double().numpy()
        assert [weight for _, weight in effect.looked] == pytest.approx(np.sort(row)[::-1][:3], abs=1e-5)
        assert row[[place for place, _ in effect.looked]] == pytest.approx(np.sort(row)[::-1][:3], abs=1e-5)


def test_chunks_and_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokens = model_of("F")
    whole = ablation_scan(model, tokens, 30, 5, 9)
    monkeypatch.setattr(switching_off, "CACHED_AT_ONCE", 70)
    monkeypatch.setattr(switching_off, "CHUNK", 14)
    shares: list[float] = []
    assert ablation_scan(model, tokens, 30, 5, 9, on_progress=shares.append) == whole
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_the_logit_may_be_a_lead_and_the_token_the_likeliest() -> None:
    model, tokens = model_of("demo")
    (lead, own, other) = (ablation_scan(model, tokens, 7, *pair) for pair in ((None, 3), (None,), (3,)))
    assert lead.token == own.token == own.baseline.top[0][0]
    for found, one, two in zip(lead.effects, own.effects, other.effects, strict=True):
        assert found.everywhere.logit == pytest.approx(one.everywhere.logit - two.everywhere.logit, abs=1e-9)


def test_at_position_0_both_readings_are_one() -> None:
    model, tokens = model_of("F")
    for effect in ablation_scan(model, tokens, 0).effects:
        assert effect.everywhere == effect.here
        assert effect.looked in ([], [(0, pytest.approx(1.0))])


def test_several_units_of_a_row_and_none() -> None:
    model, tokens = model_of("demo")
    units = (Unit(3, 1), Unit(3, 2), Unit(2, None))
    other = model
    for unit in units:
        other = zeroed(other, unit.layer, unit.head)
    plain, changed = run_rows(model, tokens, [(), units])[:, -1]
    with torch.inference_mode():
        assert torch.equal(plain, model(torch.tensor([tokens]))[0, -1])
        torch.testing.assert_close(changed, other(torch.tensor([tokens]))[0, -1], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"position": 40}, "no position 40: there are 0 to 39"),
        ({"position": True}, "position True: give a whole number"),
        ({"token": 300}, "no token 300"),
        ({"against": -1}, "no token -1"),
        ({"layers": [3]}, "no layer 3: there are 0 to 2"),
        ({"layers": []}, "no layer to switch off anything in"),
        ({"top": 0}, "top 0: give at least 1"),
        ({"tokens": []}, "no token to read"),
    ],
)
def test_what_there_is_not_is_refused_before_any_work(
    wish: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokens = model_of("F")
    monkeypatch.setattr(GPT, "_forward", None)
    with pytest.raises(SettingInvalidError, match=message):
        ablation_scan(model, **{"tokens": tokens, "position": 3, **wish})  # type: ignore[arg-type]


def test_a_scan_too_large_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokens = model_of("F")
    monkeypatch.setattr(ablation, "LARGEST", 300)
    monkeypatch.setattr(GPT, "_forward", None)
    with pytest.raises(SettingInvalidError, match="450 tokens to run, and a scan may have 300: ask for fewer layers"):
        ablation_scan(model, tokens, 39)


def test_a_cancel_leaves_the_model_as_it_was() -> None:
    model, tokens = model_of("F")
    event = threading.Event()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    before = model(torch.tensor([tokens]))
    with pytest.raises(CancelledError):
        ablation_scan(model, tokens, 39, on_progress=lambda share: event.set(), cancel=event)
    assert model.tap is None
    assert torch.equal(model(torch.tensor([tokens])), before)
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_interventions_that_last_are_there_meanwhile_and_after() -> None:
    model, tokens = model_of("demo")
    other = zeroed(model, 3, 2)
    with model.editing([{"op": "zero", "site": "head_output", "layer": 3, "heads": [2]}]):
        found = ablation_scan(model, tokens, 7, 9)
        during = model(torch.tensor([tokens]))
    expected = ablation_scan(other, tokens, 7, 9)
    assert [effect.everywhere.logit for effect in found.effects] == pytest.approx(
        [effect.everywhere.logit for effect in expected.effects], abs=1e-4
    )
    torch.testing.assert_close(during, other(torch.tensor([tokens])), atol=1e-4, rtol=0)
    assert model.tap is None


@pytest.mark.parametrize("case", ["C", "F", "demo"])
def test_interventions_at_positions_are_met_wherever_a_row_begins(case: str) -> None:
    model, tokens = model_of(case)
    last = model.config.n_layer - 1
    with model.editing(
        [
            {"op": "scale", "site": "residual", "layer": 1, "positions": [2, 3], "value": 0.5},
            {"op": "zero", "site": "head_output", "layer": 1, "heads": [0], "positions": [4, 7]},
            {"op": "scale", "site": "post_mlp", "layer": last, "positions": [7], "value": 3.0},
            {"op": "scale", "site": "v", "layer": last, "positions": [5], "value": 2.0},
        ]
    ):
        effects = ablation_scan(model, tokens, 7, 9).effects
        for effect in effects:
            whole = run_rows(model, tokens[:8], [(Unit(effect.layer, effect.head),)])[0, -1]
            assert effect.everywhere.logit == pytest.approx(float(whole[9]), abs=1e-4)


def test_a_row_runs_through_the_layers_from_its_own_on(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokens = model_of("F")
    ran: list[tuple[int, int, int]] = []
    attended = Block.attended

    def noted(self: Block, x: torch.Tensor, *args: Any) -> torch.Tensor:
        ran.append((self.layer_idx, x.size(0), x.size(1)))
        return attended(self, x, *args)

    monkeypatch.setattr(Block, "attended", noted)
    ablation_scan(model, tokens, 9, layers=[1, 2])
    own, everywhere, here = ran[:3], ran[3:5], ran[5:]
    assert own == [(layer, 1, 10) for layer in range(3)]
    assert everywhere == [(1, 5, 10), (2, 10, 10)]
    assert here == [(1, 5, 1), (2, 10, 1)]


def test_logits_that_are_not_finite_are_refused() -> None:
    model = random_model("F")
    with torch.no_grad():
        model.lm_head.weight[5] = torch.nan
    with pytest.raises(NonFiniteError, match="NaN or infinity at position 2"):
        ablation_scan(model, [1, 2, 3], 2)
    assert model.tap is None
