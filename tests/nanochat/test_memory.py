"""Mapped memory makes ordinary tensors, and none of it is used before it is written."""

import mmap
from pathlib import Path

import pytest
import torch

from nanochat.memory import SMALLEST, copy_to_huge_pages, lazy_zeros


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


def test_zeros_take_no_memory_before_they_are_written() -> None:
    before = resident_bytes()
    zeros = lazy_zeros((1 << 28,), torch.float32)  # 1 GiB
    zeros[:1000] = 1.0
    assert resident_bytes() - before < 64 << 20
    assert float(zeros[-1]) == 0.0


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


def test_more_than_the_system_has_is_a_memory_error() -> None:
    for size in (1 << 50, 1 << 70):
        with pytest.raises(MemoryError, match="no room"):
            lazy_zeros((size,), torch.float32)
