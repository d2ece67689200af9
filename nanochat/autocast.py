"""Computing in a model's own precision, also where the caller is inside torch.autocast."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any, TypeVar

import torch

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
