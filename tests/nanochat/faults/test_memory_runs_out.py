"""Running out of memory is named with the place where it ran out; other errors pass."""

import pytest
import torch

from nanochat.errors import SettingInvalidError
from nanochat.memory import memory_explained


@pytest.mark.parametrize(
    ("error", "where"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "cuda:1"),
        (RuntimeError("CUDA error: out of memory"), "cuda:1"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 40 bytes"), "cpu"),
        (MemoryError("no room for 40 bytes"), "cpu"),
    ],
)
def test_it_says_where_and_what_to_do(error: Exception, where: str) -> None:
    with (
        pytest.raises(
            SettingInvalidError, match=f"not enough memory on {where} for a walk: take a map. .{error}"
        ) as found,
        memory_explained(torch.device("cuda", 1), "a walk", "take a map"),
    ):
        raise error
    assert found.value.__cause__ is error


@pytest.mark.parametrize("error", [RuntimeError("something else"), ValueError("out of memory")])
def test_other_errors_pass(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)), memory_explained(torch.device("cpu"), "a walk", "take a map"):
        raise error
