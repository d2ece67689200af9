"""The model as something to train and to take apart; what it computes is in test_golden.py."""

import pytest
import torch

from nanochat.gpt import GPT, GPTConfig
from nanochat.kv_cache import KVCache
from tests.models import ERA_NAMES, random_model


def test_training_works_after_generating() -> None:
    model = random_model("F").train()
    list(model.generate([1, 2, 3], 2, temperature=0.0))
    ids = torch.tensor([[1, 2, 3, 4]])
    model(ids, targets=ids).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("era", ERA_NAMES)
def test_a_fresh_model_learns(era: str) -> None:
    torch.manual_seed(0)
    model = GPT(GPTConfig(32, 300, n_layer=2, n_head=2, n_kv_head=2, n_embd=64, window_pattern="SL", era=era))
    model.init_weights(torch.Generator().manual_seed(0))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    ids = torch.arange(24)[None].repeat(2, 1) * 7 % 300
    losses = []
    for _ in range(30):
        loss = model(ids[:, :-1], targets=ids[:, 1:])
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[0] == pytest.approx(5.7, abs=0.1)  # ln 300: it starts without an opinion
    assert losses[-1] < 1.0


def test_positions_without_a_target_carry_no_loss() -> None:
    model = random_model("F")
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.inference_mode():
        each = model(ids, targets=torch.tensor([[6, 7, 8, 9]]), loss_reduction="none")
        some = model(ids, targets=torch.tensor([[-1, 7, -1, 9]]))
    assert float(some) == pytest.approx(float((each[1] + each[3]) / 2), rel=1e-6)


@pytest.mark.parametrize(("era", "rows"), [("A", 300), ("Ap", 320), ("F", 320)])
def test_padded_rows_follow_the_era_and_never_show(era: str, rows: int) -> None:
    model = random_model(era)
    assert model.transformer.wte.weight.shape[0] == model.lm_head.weight.shape[0] == rows
    with torch.inference_mode():
        assert model(torch.tensor([[1, 2]])).shape == (1, 2, 300)


def test_windows_tile_the_pattern_and_end_in_a_long_one() -> None:
    def windows(era: str, pattern: str, layers: int) -> list[int]:
        return GPTConfig(2048, 300, layers, 2, 2, 64, window_pattern=pattern, era=era).windows()

    assert windows("F", "SSSL", 6) == [512, 512, 512, 2048, 512, 2048]
    assert windows("E", "SL", 3) == [768, 2048, 2048]
    assert windows("C", "s", 2) == [1024, 2048]
    assert windows("A", "S", 2) == [20480, 20480]


def test_what_a_model_computes_in_and_keeps_captures_in() -> None:
    model = random_model("F")
    assert (model.dtype, model.compute_dtype) == (torch.float32, torch.float64)
    assert (model.bfloat16().dtype, model.compute_dtype) == (torch.bfloat16, torch.bfloat16)


@pytest.mark.parametrize("era", ERA_NAMES)
@torch.inference_mode()
def test_a_token_has_the_same_logits_alone_in_a_batch_and_in_the_whole_text(era: str) -> None:
    model = random_model(era)
    ids = torch.randint(300, (5, 40), generator=torch.Generator().manual_seed(0))
    whole = torch.cat([model(row[None]) for row in ids])
    cache = KVCache(5, 2, 40, 16, 3, "cpu", model.compute_dtype)
    together = torch.cat([model(column, kv_cache=cache) for column in ids.split(1, dim=1)], dim=1)
    alone = []
    for row in ids:
        cache = KVCache(1, 2, 40, 16, 3, "cpu", model.compute_dtype)
        alone.append(torch.cat([model(token[None], kv_cache=cache) for token in row.split(1)], dim=1))
    assert whole.dtype == torch.float32
    unit = torch.finfo(torch.float32).eps  # a sum that lies between two values may be rounded to either
    assert torch.allclose(together, whole, rtol=unit, atol=1e-7)
    assert torch.allclose(torch.cat(alone), whole, rtol=unit, atol=1e-7)


@pytest.mark.parametrize("name", ["attn.c_v", "attn.c_proj", "mlp.c_fc"])
@torch.inference_mode()
def test_weights_that_are_changed_in_place_count_at_once(name: str) -> None:
    model = random_model("F")
    ids = torch.tensor([[1, 2, 3]])
    before = model(ids)
    model.transformer.h[1].get_submodule(name).weight.data[:, :16] = 0.0  # how heads are ablated
    assert not torch.allclose(model(ids), before, atol=1e-3)


@torch.inference_mode()
def test_training_and_evaluation_take_turns() -> None:
    model, ids = random_model("F"), torch.tensor([[1, 2, 3]])
    narrow, wide = random_model("F").float()(ids), model(ids)
    assert not torch.equal(narrow, wide)
    assert torch.equal(model.float().train()(ids), narrow)
    assert torch.equal(model.double().eval()(ids), wide)  # float32 weights are the same in float64


@pytest.mark.parametrize("starts", [[0, 0], [3, 0]])
@torch.inference_mode()
def test_a_cache_in_another_type_is_good_enough(summed_in: str, starts: list[int]) -> None:
    model = random_model("F")
    ids = torch.arange(40).view(2, 20) * 7
    cache = KVCache(2, 2, 24, 16, 3, "cpu", torch.float16)
    if any(starts):
        first = KVCache(1, 2, 3, 16, 3, "cpu", torch.float16)
        model(ids[:1, :3], kv_cache=first)
        cache.load_row(0, first)
    decoded = torch.cat([model(column, kv_cache=cache) for column in ids.split(1, dim=1)], dim=1)
    for row, start in enumerate(starts):
        expected = model(torch.cat([ids[:1, :start], ids[row : row + 1]], dim=1))[:, start:]
        assert 0 < (decoded[row] - expected[0]).abs().max() < 0.05
