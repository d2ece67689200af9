"""The self-check at load: attention that is wrong is refused."""

import pytest
import torch

from nanochat import attention, gpt
from nanochat.checkpoint_manager import (
    self_check,
)
from nanochat.errors import (
    CheckpointInvalidError,
)
from tests.checkpoints import (
    changed_state,
    load,
    write_flat,
)
from tests.models import random_model

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("base")


def test_a_model_that_overflows_on_the_way(tmp_path):
    def enlarge(state):
        state["transformer.h.0.mlp.c_fc.weight"].mul_(1e20)
        state["transformer.h.0.mlp.c_proj.weight"].mul_(1e10)

    changed_state(write_flat(tmp_path), enlarge)
    with pytest.raises(CheckpointInvalidError, match="computes NaN or infinity"):
        load(tmp_path, dtype="bfloat16")  # in float64, as this small model's float32, it would not overflow


def scaled_wrongly(q, k, v, span, window):
    return attention.attend(q * 1.01, k, v, span, window)


def without_the_mask(q, k, v, span, window):
    return attention.attend(q, k, v, span, 0) if span.count > 1 else attention.attend(q, k, v, span, window)


def with_heads_mixed_up(q, k, v, span, window):
    values, weights = attention.attend(q, k, v, span, window)
    return values.roll(1, 2), weights


@pytest.mark.parametrize("wrong", [scaled_wrongly, without_the_mask, with_heads_mixed_up])
def test_wrong_attention_is_refused(tmp_path, monkeypatch, wrong):
    write_flat(tmp_path, 10, random_model("F", n_layer=3, n_embd=64))
    load(tmp_path)
    monkeypatch.setattr(gpt, "attend", wrong)
    with pytest.raises(
        CheckpointInvalidError, match=r"disagrees by .* in layer \d.*on cpu in torch.float32. Try another device"
    ):
        load(tmp_path)


def test_the_layer_that_is_wrong_is_named(monkeypatch):
    model = random_model("B", n_layer=3, n_embd=64)
    assert self_check(model) < 1e-5
    calls = []

    def wrong_in_the_middle(q, k, v, span, window):
        calls.append(window)
        values, weights = attention.attend(q, k, v, span, window)
        return values * (1.1 if len(calls) == 2 else 1), weights

    monkeypatch.setattr(gpt, "attend", wrong_in_the_middle)
    with pytest.raises(CheckpointInvalidError, match="in layer 1"):
        self_check(model)


@pytest.mark.parametrize(
    "sizes",
    [{"sequence_len": 1}, {"sequence_len": 5}, {"vocab_size": 1}, {"n_kv_head": 4}, {"n_head": 1, "n_kv_head": 1}],
)
def test_the_self_check_fits_every_model(sizes):
    assert self_check(random_model("F", **sizes)) < 1e-5


def test_the_self_check_leaves_nothing_behind():
    model = random_model("F")
    self_check(model)
    assert model.tap is None
    assert model.output_logits is None
