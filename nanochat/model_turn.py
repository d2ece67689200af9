"""Whose turn it is with a model: one thread's at a time, and nobody's while a caller is told of a token."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from nanochat.cancelling import check_cancel
from nanochat.errors import ModelBusyError

LOOK_SECONDS = 0.1  # how often a thread that waits looks whether it still should


class Turn:
    """One model's: `with turn:` waits for the other threads. A thread that has it may take it again."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._telling = False

    def __enter__(self) -> None:
        self._lock.acquire()
        self._refuse_in_callback()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def _refuse_in_callback(self) -> None:
        if self._telling:  # by this thread, which has the lock
            self._lock.release()
            raise ModelBusyError(
                "The model is generating, and this call came from inside its on_token: let on_token return, and use "
                "the model after the generation, or load a second one."
            )

    @contextmanager
    def held(self, cancel: threading.Event | None) -> Iterator[None]:
        """As `with turn:`; CancelledError if `cancel` is set while others have it."""
        while not self._lock.acquire(timeout=LOOK_SECONDS):
            check_cancel(cancel)
        self._refuse_in_callback()
        try:
            yield
        finally:
            self._lock.release()

    @contextmanager
    def calling_back(self) -> Iterator[None]:
        """While it is one's turn: code of the caller's runs, which may not use the model."""
        self._telling = True
        try:
            yield
        finally:
            self._telling = False


# Beside the models: a lock can be neither pickled nor copied with one.
_TURNS: WeakKeyDictionary[Any, Turn] = WeakKeyDictionary()
_NEW = threading.Lock()


def turn_of(model: Any) -> Turn:
    """A model's turn, the same for whoever asks."""
    turn = _TURNS.get(model)
    if turn is None:
        with _NEW:
            turn = _TURNS.setdefault(model, Turn())
    return turn
