"""What is said when memory runs out."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from nanochat.errors import SettingInvalidError

CPU = "DefaultCPUAllocator"  # torch has no error of its own for it, and other words on every system


@contextmanager
def memory_explained(device: torch.device, purpose: str, advice: str) -> Iterator[None]:
    """Name the error where memory runs out inside the block, on a device or beside it on the CPU.

    Raises:
        SettingInvalidError: there is not enough memory for `purpose`; `advice` says what to do.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        on_cpu = isinstance(error, MemoryError) or CPU in str(error)
        if not on_cpu and not isinstance(error, torch.OutOfMemoryError) and "out of memory" not in str(error):
            raise
        where = "cpu" if on_cpu else device
        raise SettingInvalidError(
            f"There is not enough memory on {where} for {purpose}: {advice}. ({error})"
        ) from error
