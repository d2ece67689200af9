"""What a forward hands to the recorders of its rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from nanochat.attention import Span
from nanochat.recorder import Recorder


class Tap:
    """What a forward keeps for the recorders of its rows: row number to recorder."""

    def __init__(self, recorders: dict[int, Recorder]):
        assert recorders
        self.recorders, self.recording = recorders, True
        self.kept: dict[str, dict[int, Any]] = {name: {} for recorder in recorders.values() for name in recorder.taken}

    def __reduce__(self) -> tuple[Any, ...]:
        """A capture is no part of its model: copied or pickled with one, it becomes None."""
        return type(None), ()

    @property
    def needs_every_logit(self) -> bool:
        """Whether some recorder wants logits of positions that no token is drawn at."""
        return self.recording and any(recorder.needs_every_logit for recorder in self.recorders.values())

    def layers(self) -> set[int]:
        """The layers that some recorder wants."""
        return {layer for recorder in self.recorders.values() for layers in recorder.taken.values() for layer in layers}

    def stands_at(self, positions: list[int]) -> bool:
        """Whether each recorder has come as far as its row."""
        return all(recorder.length == positions[row] for row, recorder in self.recorders.items())

    def close(self) -> None:
        """Record no more; what was captured stays readable."""
        self.recording = False
        self.kept.clear()

    @torch.no_grad()  # what is kept is a copy, of which nothing is to be learned
    def commit(self, logits: Tensor, span: Span) -> None:
        """Write what the forward kept, and let go of it."""
        for row, recorder in self.recorders.items():
            recorder.write(self.kept, logits, span, row)
        for values in self.kept.values():
            values.clear()

    def count_token(self) -> None:
        """Count a token of every row that repeated operations have written."""
        for recorder in self.recorders.values():
            recorder.count_token()

    def view(self, name: str, layer: int) -> Tensor | None:
        """What the rows captured at a site so far, (rows, ...)."""
        return _joined(recorder.view(name, layer) for recorder in self.recorders.values())

    def logits_view(self) -> Tensor | None:
        """The rows' logits so far, (rows, positions, vocab)."""
        return _joined(recorder.logits_view() for recorder in self.recorders.values())


def _joined(views: Iterable[Tensor | None]) -> Tensor | None:
    found = [view for view in views if view is not None]
    if len({view.shape for view in found}) != 1:
        return None
    return found[0] if len(found) == 1 else torch.cat(found)
