"""Where a forward hands its values out: to the recorders of its rows, and to whoever changes them on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nanochat.attention import Span
from nanochat.capture.recorder import Recorder
from nanochat.capture.sites import SITES

# A site's value, (B, T, ...), and where its tokens stand, to what replaces it; the value itself: nothing is changed.
Edit = Callable[[Tensor, Span], Tensor]
SiteLayer = tuple[str, int]


def tap(module: nn.Module, site: str, value: Any, layer: int | None = None) -> Any:
    """Hand a value to whoever listens at a site; returns what the model goes on with. Free when nobody listens."""
    listener: Tap | None = module.tap  # type: ignore[assignment]
    if listener is None:
        return value
    return listener.take(site, module.layer_idx if layer is None else layer, value)  # type: ignore[arg-type]


def wants(module: nn.Module, site: str) -> bool:
    """Whether a value that costs something to compute is captured or changed."""
    listener: Tap | None = module.tap  # type: ignore[assignment]
    return listener is not None and (site in listener.kept or edits(module, site))


def edits(module: nn.Module, site: str) -> bool:
    """Whether a value is changed on the way, so that what follows has to be computed from it."""
    listener: Tap | None = module.tap  # type: ignore[assignment]
    return listener is not None and (site, module.layer_idx) in listener.edits


def chained(found: Sequence[Edit]) -> Edit:
    """One edit that is several, one after the other."""

    def edit(value: Tensor, span: Span) -> Tensor:
        for change in found:
            value = change(value, span)
        return value

    return edit if len(found) > 1 else found[0]


def captured(site: str) -> Any:
    """A module's attribute that shows what was captured there so far, (1, ...); None without a capture."""

    def read(module: Any) -> Tensor | None:
        return None if module.tap is None else module.tap.view(site, module.layer_idx)

    return property(read, doc=f"Captured {site} so far, None without a capture.")


class Tap:
    """Who listens to a forward.

    Args:
        recorders: row number to recorder; what they keep is what the model went on with.
        edits: site and layer to what changes its value. Under a CUDA graph an edit runs once, while the graph is
            captured: it must be operations on the device, which are repeated with it.
        lasting: edits that come before those, and stay when the recording ends.
    """

    def __init__(
        self,
        recorders: dict[int, Recorder],
        edits: Mapping[SiteLayer, Edit] | None = None,
        lasting: Mapping[SiteLayer, Edit] | None = None,
    ):
        self.recorders, self.lasting, self.recording = recorders, lasting or {}, True
        self.edits = joined_edits(self.lasting, edits or {})
        assert all(SITES[site].editable for site, _ in self.edits)
        self.span: Span | None = None  # of the forward that runs
        for recorder in recorders.values():
            recorder.edits = self.edits
        self.kept: dict[str, dict[int, Any]] = {name: {} for recorder in recorders.values() for name in recorder.taken}

    def __reduce__(self) -> tuple[Any, ...]:
        """A capture is no part of its model: copied or pickled with one, it becomes None."""
        return type(None), ()

    def take(self, site: str, layer: int, value: Any) -> Any:
        """Change a value where somebody wants to, keep it where somebody records it, and give it back."""
        edit = self.edits.get((site, layer))
        if edit is not None:
            assert self.span is not None
            value = edit(value, self.span)
        kept = self.kept.get(site)
        if kept is not None:
            kept[layer] = value
        return value

    @property
    def needs_every_logit(self) -> bool:
        """Whether some recorder wants logits of positions that no token is drawn at."""
        return self.recording and any(recorder.needs_every_logit for recorder in self.recorders.values())

    def layers(self) -> set[int]:
        """The layers that somebody listens to."""
        recorded = (layers for recorder in self.recorders.values() for layers in recorder.taken.values())
        return {layer for layers in recorded for layer in layers} | {layer for _, layer in self.edits}

    def stands_at(self, positions: list[int]) -> bool:
        """Whether each recorder has come as far as its row."""
        return all(recorder.length == positions[row] for row, recorder in self.recorders.items())

    def close(self) -> None:
        """Record no more, and change no more but what lasts; what was captured stays readable."""
        self.recording, self.span = False, None
        self.change_alone(self.lasting)
        self.kept.clear()

    def change_alone(self, edits: Mapping[SiteLayer, Edit]) -> None:
        """Let these edits last, and no others."""
        self.lasting, self.edits = edits, dict(edits)

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


def lasting_tap(edits: Mapping[SiteLayer, Edit]) -> Tap:
    """A tap that changes values, and records none."""
    tap = Tap({}, lasting=edits)
    tap.close()
    return tap


def joined_edits(first: Mapping[SiteLayer, Edit], then: Mapping[SiteLayer, Edit]) -> dict[SiteLayer, Edit]:
    """The edits of both, the first ones first."""
    both = {place: chained([first[place], then[place]]) for place in first.keys() & then.keys()}
    return {**first, **then, **both}


def _joined(views: Iterable[Tensor | None]) -> Tensor | None:
    found = [view for view in views if view is not None]
    if len({view.shape for view in found}) != 1:
        return None
    return found[0] if len(found) == 1 else torch.cat(found)
