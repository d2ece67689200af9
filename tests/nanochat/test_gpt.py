"""The model as something to train and to take apart; what it computes is in test_golden.py."""

import pytest
import torch

from nanochat.gpt import GPT, GPTConfig
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
