"""The handlers of all methods: importing this registers them; a new file of handlers is two more lines here."""

from daemon.handlers import (
    ablation,
    alternatives,
    attention,
    attribution,
    comparison,
    difference,
    generation,
    heads,
    lens,
    patching,
    status,
    tensors,
    thumbnails,
    traces,
    why,
)
from daemon.server.dispatch import HANDLERS
from protocol.methods import METHODS

__all__ = [
    "ablation",
    "alternatives",
    "attention",
    "attribution",
    "check",
    "comparison",
    "difference",
    "generation",
    "heads",
    "lens",
    "patching",
    "status",
    "tensors",
    "thumbnails",
    "traces",
    "why",
]


def check() -> None:
    """Raise AssertionError where handlers and methods do not have the same names."""
    assert HANDLERS.keys() == METHODS.keys(), HANDLERS.keys() ^ METHODS.keys()
