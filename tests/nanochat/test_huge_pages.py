"""Copies in huge pages are ordinary tensors."""

import pytest
import torch

from nanochat.huge_pages import SMALLEST, copy_to_huge_pages


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("count", [3, SMALLEST])
def test_a_copy_is_equal_and_apart(dtype: torch.dtype, count: int) -> None:
    tensor = torch.randn(count, 2)
    copy = copy_to_huge_pages(tensor.T, dtype)
    assert torch.equal(copy, tensor.T.to(dtype))
    assert copy.dtype == dtype
    assert copy.is_contiguous()
    copy.zero_()
    assert tensor.any()


def test_a_copy_outlives_what_it_was_made_of() -> None:
    copies = [copy_to_huge_pages(torch.full((SMALLEST,), float(i)), torch.float32) for i in range(5)]
    assert [float(copy.mean()) for copy in copies] == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_a_copy_can_be_trained() -> None:
    parameter = torch.nn.Parameter(copy_to_huge_pages(torch.ones(SMALLEST), torch.float32))
    parameter.square().sum().backward()
    assert parameter.grad is not None
    assert float(parameter.grad[0]) == 2.0
