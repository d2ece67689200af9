"""Which device and dtype to compute with; and in a model's own precision, whatever the caller has set."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any, TypeVar

import torch

from nanochat.checkpoints.base_dir import get_base_dir
from nanochat.errors import SettingInvalidError
from nanochat.gpt_config import DTYPE_NAMES

__all__ = [
    "DEVICE_TYPES",
    "DTYPES",
    "autodetect_device_type",
    "get_base_dir",
    "parse_compute_dtype",
    "parse_device",
    "parse_dtype",
]

DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in DTYPE_NAMES}
DEVICE_TYPES = ("cuda", "mps", "cpu")
FLOAT64_PARAMETERS = 4_000_000  # a larger model would be much slower in float64


def autodetect_device_type() -> str:
    """The best device at hand: "cuda", "mps" or "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def parse_device(device: torch.device | str | None) -> torch.device:
    """A torch device from a device, a name such as "cuda:1", or None for the best at hand.

    Raises:
        SettingInvalidError: no such device on this machine.
    """
    try:
        parsed = torch.device(device or autodetect_device_type())
    except (RuntimeError, TypeError) as error:
        raise SettingInvalidError(f"There is no device {device!r}: use cpu, cuda, cuda:0, ... or mps.") from error
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(parsed.type, False) or (parsed.index or 0) >= max(1, torch.cuda.device_count()):
        raise SettingInvalidError(
            f"Device {str(device)!r} is not available on this machine: use {autodetect_device_type()}."
        )
    return parsed


def parse_dtype(dtype: torch.dtype | str | None, device: torch.device) -> torch.dtype:
    """What to compute in: a dtype, its name, or None for bfloat16 on GPUs that have it and float32 elsewhere.

    Raises:
        SettingInvalidError: not one of float32, bfloat16 and float16.
    """
    if dtype is None:
        if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0):
            return torch.bfloat16
        return torch.float32
    parsed = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if parsed is None or parsed not in DTYPES.values():
        raise SettingInvalidError(f"Cannot compute in {dtype}: choose from {', '.join(DTYPES)}.")
    return parsed


def parse_compute_dtype(
    compute_dtype: torch.dtype | str | None, dtype: torch.dtype, device: torch.device, parameters: int
) -> torch.dtype:
    """What a model's forwards compute in: as asked; None: float64 for a small model's float32 on the CPU, else `dtype`.

    Sums in float32 differ in their last digits with the number of rows that are summed at once, and a final norm of a
    small residual stream magnifies that. In float64 a token has the same logits alone, in a chunk, in a batch and in
    the whole text, once rounded to float32.

    Raises:
        SettingInvalidError: neither `dtype` nor, for a float32 model, float64.
    """
    small = device.type == "cpu" and parameters <= FLOAT64_PARAMETERS
    choices = [torch.float64, dtype] if dtype == torch.float32 else [dtype]
    if compute_dtype is None:
        return choices[0] if small else dtype
    parsed = getattr(torch, compute_dtype, None) if isinstance(compute_dtype, str) else compute_dtype
    if parsed not in choices:
        names = " or ".join(str(choice).removeprefix("torch.") for choice in choices)
        raise SettingInvalidError(f"A model in {dtype} cannot compute in {compute_dtype}: choose {names}.")
    return parsed


Method = TypeVar("Method", bound=Callable[..., Any])


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """A context in which operations on a device take their inputs' types; free outside autocast."""
    if torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def in_own_precision(method: Method) -> Method:
    """A model's method that computes the same inside autocast as outside, unless the model is being trained."""

    @wraps(method)
    def compute(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.training:  # whose precision is the caller's to choose
            return method(self, *args, **kwargs)
        with without_autocast(self.get_device()):
            return method(self, *args, **kwargs)

    return compute  # type: ignore[return-value]
