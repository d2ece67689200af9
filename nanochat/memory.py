"""Where large CPU tensors lie, and what is said when memory runs out."""

import contextlib
import mmap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod

import torch
from torch import Tensor

from nanochat.errors import SettingInvalidError

SMALLEST = 2 << 20  # bytes: one huge page


def lazy_zeros(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Zeros on the CPU; on Linux they take no memory before they are written.

    They are ordinary pages on purpose: zeroing huge ones while a text is generated cost 4% of 12 layers x 768.

    Raises:
        MemoryError: more than the system can promise.
    """
    return _mapped(shape, dtype, huge=False)


def copy_to_huge_pages(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """A copy of a CPU tensor in a dtype; on Linux in huge pages, if it gives us some.

    Decoding reads every weight for every token, as fast as the memory allows: it gained 2.4% at 12 layers x 768 in
    float32 on 2 cores.

    Raises:
        MemoryError: more than the system can promise.
    """
    return _mapped(tensor.shape, dtype, huge=True).copy_(tensor)


def _mapped(shape: Sequence[int], dtype: torch.dtype, *, huge: bool) -> Tensor:
    size = prod(shape) * dtype.itemsize
    if size < SMALLEST or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.zeros(*shape, dtype=dtype, device="cpu")  # whatever the caller's default device is
    try:
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError) as error:
        raise MemoryError(f"no room for {size:,} bytes") from error
    with contextlib.suppress(OSError):  # a kernel built without huge pages
        memory.madvise(mmap.MADV_HUGEPAGE if huge else mmap.MADV_NOHUGEPAGE)
    return torch.frombuffer(memory, dtype=dtype, count=prod(shape)).view(*shape)


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
