"""Values of a model's modules read and changed by torch's hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

Change = Callable[[Tensor], Tensor | None]  # None: leave it


@contextmanager
def hooked(places: Iterable[tuple[nn.Module, bool, Change]]) -> Iterator[None]:
    """Call a function with what enters (True) or leaves each module; what it returns takes its place."""
    handles = []
    for module, entering, change in places:
        if entering:

            def enters(_: Any, args: tuple[Any, ...], change: Change = change) -> tuple[Any, ...]:
                found = change(args[0])
                return args if found is None else (found, *args[1:])

            handles.append(module.register_forward_pre_hook(enters))
        else:
            handles.append(module.register_forward_hook(lambda _, __, out, change=change: change(out)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
