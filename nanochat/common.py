"""Which device and dtype to compute with."""

import torch

from nanochat.base_dir import get_base_dir
from nanochat.errors import SettingInvalidError

__all__ = ["DEVICE_TYPES", "DTYPES", "autodetect_device_type", "get_base_dir", "parse_device", "parse_dtype"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
DEVICE_TYPES = ("cuda", "mps", "cpu")


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
