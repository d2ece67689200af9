"""Interventions at work: edits for the model's tap, the same with the cache and without, in chunks and in batches."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from nanochat.attention import Span
from nanochat.cancelling import check_cancel
from nanochat.capture.interventions import Intervention, Range
from nanochat.capture.sites import SITES, WEIGHTS
from nanochat.capture.tap import Edit, SiteLayer, chained
from nanochat.capture.values import Source
from nanochat.errors import SettingInvalidError
from nanochat.kv_cache import KVCache

if TYPE_CHECKING:
    from nanochat.gpt import GPT

CHUNK = 512  # prompt tokens a forward, where means are taken
# What z can do for head_output, which is a linear map of it: c_proj then runs as ever, and rounds as ever.
LINEAR = ("zero", "mean", "scale")


class Change:
    """One intervention as an edit.

    Positions are absolute: it does not matter which forward they come in, nor beside which other rows. Every operation
    is on the device, so that a CUDA graph repeats them, the counting too. Where nothing is touched the value itself is
    given back.

    Args:
        intervention: what is to be done.
        ranges: the positions that it touches.
        target: what is put there, added or multiplied: (), (width,), of the site's shape, or (positions, *shape), of
            every position from 0 on; of attention weights (), (keys,), (heads, keys) or (positions, heads, keys).
        model: whose values they are.
    """

    def __init__(self, intervention: Intervention, ranges: Sequence[Range], target: Tensor, model: GPT):
        self.intervention, self.ranges, self.target = intervention, ranges, target
        self.is_weights = intervention.site == WEIGHTS
        self.window = model.config.windows()[intervention.layer] if self.is_weights else 0
        self.changes_nothing = (intervention.op, intervention.value) in (("scale", 1.0), ("add", 0.0))
        with torch.inference_mode(False):  # it may be used outside of where it was made
            self.wanted = torch.zeros(model.config.max_positions, dtype=torch.bool, device=model.get_device())
            for start, stop in ranges:
                self.wanted[start:stop] = True
            self.seen = torch.zeros_like(self.wanted)
            self.units = _units(intervention, model)

    @property
    def touched(self) -> int:
        """How many positions it has touched; one that comes again, or in several rows, counts once."""
        return int(self.seen.sum())

    def __call__(self, value: Tensor, span: Span) -> Tensor:
        """The site's value (B, T, ...), of attention weights (B, H, T, S), with the change in it."""
        if span.uniform and not any(start < span.end and stop > span.starts[0] for start, stop in self.ranges):
            return value
        positions = slice(span.starts[0], span.end) if span.uniform else span.positions
        here = self.wanted[positions]  # (T,) or (B, T)
        self.seen[positions] = self.seen[positions] | here
        if self.changes_nothing:
            return value
        rows = (-1, 1, span.count, 1) if self.is_weights else (-1, span.count, *[1] * (value.dim() - 2))
        place = here.view(rows) if self.units is None else here.view(rows) & self.units
        return torch.where(place, self._changed(value, span), value)

    def _changed(self, value: Tensor, span: Span) -> Tensor:
        target = self._target_at(span.positions, value.size(-1)).to(value.dtype)
        if self.intervention.op == "scale":
            return value * target
        changed = value + target if self.intervention.op == "add" else target.expand_as(value)
        return changed.masked_fill(span.hidden(self.window), 0.0) if self.is_weights else changed

    def _target_at(self, positions: Tensor, keys: int) -> Tensor:
        """The target at positions (B, T), to be broadcast against the value there."""
        target = self.target
        if self.intervention.rows is not None:
            target = target[positions.clamp(max=target.size(0) - 1)]  # those past the last are not touched
        if not self.is_weights or not target.dim():
            return target
        target = F.pad(target[..., :keys], (0, max(0, keys - target.size(-1))))
        if target.dim() == len(("heads", "keys")):
            return target[:, None]
        return target.transpose(1, 2) if self.intervention.rows is not None else target


class Changes:
    """Interventions ready to run: `edits` for the model's tap, and how many positions each has `touched`."""

    def __init__(self, changes: Sequence[Change], places: Sequence[SiteLayer]):
        self._changes = changes
        by_place: dict[SiteLayer, list[Edit]] = {}
        own_first = sorted(zip(changes, places, strict=True), key=lambda pair: pair[0].intervention.site != pair[1][0])
        for change, place in own_first:
            by_place.setdefault(place, []).append(change)
        self.edits: dict[SiteLayer, Edit] = {place: chained(found) for place, found in by_place.items()}

    @property
    def touched(self) -> list[int]:
        """Of each intervention, in the order given, the number of positions."""
        return [change.touched for change in self._changes]


def prepare(
    model: GPT,
    interventions: Sequence[Intervention],
    ranges: Sequence[Sequence[Range]],
    prompt: Sequence[int] = (),
    cancel: threading.Event | None = None,
) -> Changes:
    """Make interventions ready for a model; means are taken now, of what it computes for the prompt.

    Args:
        ranges: of each intervention the positions that it touches, as `touched_ranges` has them.
        prompt: token ids.

    Raises:
        SettingInvalidError: a value too large for the model's dtype, or one whose numbers have not been taken yet.
        CancelledError: `cancel` was set. ModelBusyError: a capture is under way.
    """
    for number, item in enumerate(interventions):
        if item.unresolved:
            raise SettingInvalidError(
                f"interventions[{number}]: its value has to be made numbers first, from where it is to be taken: use "
                "`nanochat.why.values.resolved`."
            )
    places = _places(interventions)
    wanted = {place for item, place in zip(interventions, places, strict=True) if item.own_mean}
    means = prompt_means(model, prompt, wanted, cancel) if wanted else {}
    changes = []
    for number, (item, place) in enumerate(zip(interventions, places, strict=True)):
        target = means[place] if item.own_mean else _target(item, model)
        if not target.isfinite().all():
            raise SettingInvalidError(f"interventions[{number}]: its value is too large for {model.compute_dtype}.")
        changes.append(Change(item, ranges[number], target, model))
    return Changes(changes, places)


def _places(interventions: Sequence[Intervention]) -> list[SiteLayer]:
    """Where each is done: what zeroes or scales heads' outputs is done to z, if all that changes them there may be."""
    outputs = [item for item in interventions if item.site == "head_output"]
    bent = {item.layer for item in outputs if item.op not in LINEAR or item.numbers is not None}
    return [
        ("z" if item.site == "head_output" and item.layer not in bent else item.site, item.layer)
        for item in interventions
    ]


@torch.no_grad()
def prompt_means(
    model: GPT, prompt: Sequence[int], places: Iterable[SiteLayer], cancel: threading.Event | None = None
) -> dict[SiteLayer, Tensor]:
    """The mean over the prompt's positions of what the model computes at some sites, of the site's shape.

    Raises:
        CancelledError: `cancel` was set. ModelBusyError: a capture is under way.
    """
    sums: dict[SiteLayer, Tensor] = {}

    def summed(place: SiteLayer, value: Tensor, span: Span) -> Tensor:
        total = value[0].sum(0, dtype=torch.promote_types(value.dtype, torch.float32))
        sums[place] = sums[place] + total if place in sums else total
        return value

    config, device = model.config, model.get_device()
    cache = KVCache(1, config.n_kv_head, len(prompt), config.head_dim, config.n_layer, device, model.compute_dtype)
    cache.logits_wanted = "last"
    ids = torch.tensor([list(prompt)], dtype=torch.long, device=device)
    with model.capturing(edits={place: partial(summed, place) for place in places}):
        for chunk in ids.split(CHUNK, dim=1):
            check_cancel(cancel)
            model.forward(chunk, kv_cache=cache)
    return {place: total / len(prompt) for place, total in sums.items()}


def _target(item: Intervention, model: GPT) -> Tensor:
    """What an operation is done with, in the model's dtype; of a vector for chosen neurons 0 between them."""
    device, dtype = model.get_device(), model.compute_dtype
    if item.numbers is None:
        return torch.tensor(0.0 if item.op == "zero" else item.value, dtype=dtype, device=device)
    numbers = torch.tensor(item.numbers, dtype=dtype, device=device)
    if item.neurons is None or numbers.dim() > 1 or isinstance(item.value, Source):
        return numbers
    wide = torch.zeros(SITES[item.site].shape(model.config), dtype=dtype, device=device)
    wide[list(item.neurons)] = numbers
    return wide


def _units(item: Intervention, model: GPT) -> Tensor | None:
    """True at the heads or neurons that are changed, to be broadcast against a position's value; None: all are."""
    numbers = item.heads if item.heads is not None else item.neurons
    if numbers is None:
        return None
    shape = SITES[item.site].shape(model.config)
    chosen = torch.zeros(shape[0], dtype=torch.bool, device=model.get_device())
    chosen[list(numbers)] = True
    if item.heads is None:
        return chosen
    return chosen[:, None, None] if item.site == WEIGHTS else chosen[:, None]
