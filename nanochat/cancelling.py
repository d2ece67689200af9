"""Stopping work that its caller no longer wants, where nothing is half done."""

import threading
from collections.abc import Iterator, Mapping

import numpy as np

from nanochat.errors import CancelledError


def check_cancel(cancel: threading.Event | None) -> None:
    """Raise CancelledError once the event is set."""
    if cancel is not None and cancel.is_set():
        raise CancelledError("Cancelled: the generation was stopped and nothing was saved.")


class Watched(Mapping[str, np.ndarray]):
    """Tensors that nobody gets once the event is set: whoever analyses or saves them stops there."""

    def __init__(self, arrays: dict[str, np.ndarray], cancel: threading.Event | None):
        self.arrays, self.cancel = arrays, cancel

    def __getitem__(self, name: str) -> np.ndarray:
        check_cancel(self.cancel)
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)
