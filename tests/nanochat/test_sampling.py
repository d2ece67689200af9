"""The next token at temperatures that a person may give but hardly means."""

import pytest
import torch

from nanochat.sampling import sample_next_token

LOGITS = torch.tensor([[-3.0, 14.9, 15.0, -15.0], [0.5, 0.0, -15.0, 0.25]])


@pytest.mark.parametrize("temperature", [1e-300, 1e-45, 1e-38, 1e-30, 1e-10])
@pytest.mark.parametrize("top_k", [None, 2])
def test_a_temperature_next_to_0_draws_the_likeliest(temperature: float, top_k: int | None) -> None:
    drawn = sample_next_token(LOGITS, torch.Generator().manual_seed(1), temperature, top_k)
    assert drawn.tolist() == [[2], [0]]


@pytest.mark.parametrize("temperature", [10**300, 1e300])
def test_the_highest_temperatures_draw_all_alike(temperature: float) -> None:
    rng = torch.Generator().manual_seed(1)
    drawn = {int(sample_next_token(LOGITS[:1], rng, temperature)) for _ in range(60)}
    assert drawn == {0, 1, 2, 3}
