"""Python's garbage collection, held back where it costs much and finds nothing. Threads may hold it back at once."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_holding = 0  # how many hold it back
_enabled = True  # whether it was on before the first of them


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """No collection meanwhile; afterwards as it was, once the last that holds it back is done."""
    global _holding, _enabled
    with _lock:
        if not _holding:
            _enabled = gc.isenabled()
            gc.disable()
        _holding += 1
    try:
        yield
    finally:
        with _lock:
            _holding -= 1
            if not _holding and _enabled:
                gc.enable()
