"""The fused kernel, the explicit softmax and the shortcuts for one token all say the same."""

import pytest
import torch
from torch import Tensor

from nanochat import attention
from nanochat.attention import Span, attend, attention_weights, last_row_weights

CPU = torch.device("cpu")


def queries_and_keys(B: int, T: int, S: int, H: int, H_kv: int, D: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(B * 1000 + T * 100 + S)
    shapes = ((B, T, H, D), (B, S, H_kv, D), (B, S, H_kv, D))
    q, k, v = (torch.randn(shape, generator=generator) for shape in shapes)
    return q, k, v


def by_definition(q: Tensor, k: Tensor, starts: list[int], window: int) -> Tensor:
    """Softmax of q.k / sqrt(D) over 0 <= i - j <= window, one cell at a time."""
    B, T, H, D = q.shape
    weights = torch.zeros(B, H, T, k.size(1))
    for b, start in enumerate(starts):
        for h in range(H):
            for t in range(T):
                i = start + t
                keys = range(max(0, i - window), i + 1)
                scores = torch.stack([q[b, t, h] @ k[b, j, h // (H // k.size(2))] for j in keys]) / D**0.5
                weights[b, h, t, keys.start : keys.stop] = scores.softmax(-1)
    return weights


@pytest.mark.parametrize(("starts", "T"), [([0], 6), ([5], 1), ([3], 4), ([5, 2, 0], 1), ([4, 0], 3)])
@pytest.mark.parametrize("window", [0, 2, 100])
@pytest.mark.parametrize("H_kv", [1, 2, 4])
def test_weights_and_values_follow_the_definition(starts: list[int], T: int, window: int, H_kv: int) -> None:
    span = Span(starts, T, CPU)
    q, k, v = queries_and_keys(len(starts), T, span.end, 4, H_kv)
    expected = by_definition(q, k, starts, window)
    weights = attention_weights(q, k, span, window)
    assert torch.allclose(weights, expected, atol=1e-6)
    assert torch.all(weights[expected == 0] == 0)
    mixed = torch.einsum("bhts,bshd->bthd", expected, v.repeat_interleave(4 // H_kv, dim=2))
    assert torch.allclose(attend(q, k, v, span, window), mixed, atol=1e-5)


@pytest.mark.parametrize("score", [attention._scores_layer_by_layer, attention._scores_together])
@pytest.mark.parametrize("H_kv", [1, 2, 4])
def test_scores_of_all_layers_are_those_of_each(score: object, H_kv: int) -> None:
    q, k, _ = queries_and_keys(2, 1, 5, 4, H_kv)
    layers = [(q + layer, k - layer * q[:, :, :H_kv], 100) for layer in range(3)]
    scores = score(layers, 1)  # type: ignore[operator]
    for (q, k, _), found in zip(layers, scores, strict=True):
        assert torch.allclose(
            found.view(4, 5).softmax(-1), attention_weights(q, k, Span([4], 1, CPU), 100)[1, :, 0], atol=1e-6
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_token_of_several_layers_with_their_windows(dtype: torch.dtype) -> None:
    span, windows = Span([9, 9], 1, CPU), [100, 3, 0]
    layers = []
    for layer, window in enumerate(windows):
        q, k, _ = queries_and_keys(2, 1, 10, 4, 2)
        layers.append(((q + layer).to(dtype), k.to(dtype), window))
    room = torch.full((3, 4, 16), 7.0)
    last_row_weights(layers, 1, span, out=room[..., :10])
    for (q, k, window), found in zip(layers, room, strict=True):
        expected = attention_weights(q, k, span, window)[1, :, 0]
        assert torch.allclose(found[:, :10], expected, atol=1e-6)
        assert torch.all(found[:, :10][expected == 0] == 0)
    assert torch.all(room[..., 10:] == 7.0)
