"""The fused kernel and the explicit softmax, with its short way for one token, both follow the definition."""

import pytest
import torch
from torch import Tensor

from nanochat.attention import Span, attend, attention_weights

CPU = torch.device("cpu")


def queries_and_keys(B: int, T: int, S: int, H: int, H_kv: int, D: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(B * 1000 + T * 100 + S)
    shapes = ((B, T, H, D), (B, S, H_kv, D), (B, S, H_kv, D))
    q, k, v = (torch.randn(shape, generator=generator) for shape in shapes)
    return q, k, v


def by_definition(q: Tensor, k: Tensor, starts: list[int], window: int) -> Tensor:
    """Softmax of q.k / sqrt(D) over 0 <= i - j <= window, one cell at a time."""
    B, T, H, D = q.shape
    weights = torch.zeros(B, H, T, k.size(1), dtype=q.dtype)
    for b, start in enumerate(starts):
        for h in range(H):
            for t in range(T):
                i = start + t
                keys = range(max(0, i - window), i + 1)
                scores = torch.stack([q[b, t, h] @ k[b, j, h // (H // k.size(2))] for j in keys]) / D**0.5
                weights[b, h, t, keys.start : keys.stop] = scores.softmax(-1)
    return weights


@pytest.mark.parametrize(
    ("starts", "T"), [([0], 6), ([5], 1), ([0], 1), ([3], 4), ([7, 7], 1), ([5, 2, 0], 1), ([4, 0], 3)]
)
@pytest.mark.parametrize("window", [0, 2, 100])
@pytest.mark.parametrize("H_kv", [1, 2, 4])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_weights_and_values_follow_the_definition(
    starts: list[int], T: int, window: int, H_kv: int, dtype: torch.dtype, tolerance: float
) -> None:
    span = Span(starts, T, CPU)
    q, k, v = (tensor.to(dtype) for tensor in queries_and_keys(len(starts), T, span.end, 4, H_kv))
    expected = by_definition(q, k, starts, window)
    weights = attention_weights(q, k, span, window)
    assert torch.allclose(weights, expected, rtol=0, atol=tolerance)
    assert torch.all(weights[expected == 0] == 0)
    mixed = torch.einsum("bhts,bshd->bthd", expected, v.repeat_interleave(4 // H_kv, dim=2))
    values, by_the_way = attend(q, k, v, span, window)
    assert torch.allclose(values, mixed, rtol=0, atol=10 * tolerance)
    assert (by_the_way is not None) == (len(starts) == T == 1)
    if by_the_way is not None:
        assert torch.allclose(by_the_way, expected[..., -by_the_way.size(3) :], rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("T", [1, 3])
def test_weights_are_float32_where_the_model_computes_in_half(dtype: torch.dtype, T: int) -> None:
    span = Span([4], T, CPU)
    q, k, _ = queries_and_keys(1, T, span.end, 4, 2)
    q, k = q.to(dtype), k.to(dtype)
    weights = attention_weights(q, k, span, 3)
    assert weights.dtype == torch.float32
    assert torch.allclose(weights, by_definition(q.float(), k.float(), [4], 3), atol=1e-6)


def test_nan_in_a_key_stays_with_the_queries_that_see_it() -> None:
    span = Span([0], 5, CPU)
    q, k, _ = queries_and_keys(1, 5, 5, 4, 2)
    k[:, 3] = torch.nan
    weights = attention_weights(q, k, span, 100)
    assert torch.isfinite(weights[:, :, :3]).all()
    assert torch.all(weights[:, :, :3].triu(1) == 0.0)
    assert torch.isnan(weights[:, :, 3:, :4]).all()


def test_the_fused_kernels_bias_hides_what_is_hidden() -> None:
    span = Span([2, 0], 3, CPU)
    bias, hidden = span.bias(1, torch.bfloat16), span.hidden(1)
    assert bias.dtype == torch.bfloat16
    assert bias.shape == hidden.shape == (2, 1, 3, 5)
    assert torch.equal(bias == -torch.inf, hidden)
    assert torch.all(bias[~hidden] == 0.0)
    assert hidden[0, 0].tolist() == [[j not in (i - 1, i) for j in range(5)] for i in (2, 3, 4)]
