"""The effect of patches, exactly: variants of the corrupted prompt run on together from the patched layer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import torch
from torch import Tensor

from nanochat.cancelling import check_cancel
from nanochat.gpt import GPT
from nanochat.why.patching.resuming import run_on
from nanochat.why.patching.runs import BY_HEAD, PLACES, Cell, Runs, What, difference_of

TOKENS_AT_ONCE = 1024  # of all variants that are run together: more are no quicker on a CPU


@torch.inference_mode()
def exact_effects(
    model: GPT,
    runs: Runs,
    what: What,
    cells: Sequence[Cell],
    on_progress: Callable[[int, int], None] | None = None,
    cancel: threading.Event | None = None,
) -> dict[Cell, float]:
    """The effect of each cell, in layers that ascend."""
    found = dict.fromkeys(cells, 0.0)
    waiting = [cell for cell in cells if is_read(model, runs, what, cell)]
    units, done = unit_count(model, runs, what), len(cells) - len(waiting)
    for layer, batch in batches(waiting, max(1, TOKENS_AT_ONCE // runs.pair.length)):
        check_cancel(cancel)
        patched = torch.eye(units, dtype=torch.bool, device=model.get_device())[[unit for _, unit in batch]]
        differences = difference_of(model, patched_end(model, runs, what, layer, patched), runs.pair)
        found |= {cell: runs.share(one) for cell, one in zip(batch, differences.tolist(), strict=True)}
        done += len(batch)
        if on_progress is not None:
            on_progress(done, len(cells))
    return found


def unit_count(model: GPT, runs: Runs, what: What) -> int:
    """How many heads or positions a layer has."""
    return model.config.n_head if what in BY_HEAD else runs.pair.length


def is_read(model: GPT, runs: Runs, what: What, cell: Cell) -> bool:
    """Whether a patch may change anything: the values differ, and somebody reads them after."""
    if what in BY_HEAD:
        return True
    (site, point), (layer, position) = PLACES[what], cell
    if layer == model.config.n_layer - 1 and point != "entering" and position < runs.pair.length - 1:
        return False
    return not torch.equal(runs.clean.values[site, layer][position], runs.corrupted.values[site, layer][position])


def batches(cells: Sequence[Cell], at_once: int) -> Iterator[tuple[int, list[Cell]]]:
    """Cells of one layer at a time, so many at most."""
    for layer, group in groupby(cells, key=lambda cell: cell[0]):
        of_layer = list(group)
        for start in range(0, len(of_layer), at_once):
            yield layer, of_layer[start : start + at_once]


def patched_end(model: GPT, runs: Runs, what: What, layer: int, patched: Tensor) -> Tensor:
    """What the final norm reads last, (B, n_embd), of variants of the corrupted prompt.

    Args:
        patched: which heads or positions of the layer each has from the clean prompt, (B, units) bool.
    """
    site, point = PLACES[what]
    mask = patched[:, None, :, None] if what in BY_HEAD else patched[:, :, None]
    value = torch.where(mask, runs.clean.values[site, layer], runs.corrupted.values[site, layer])
    if what in BY_HEAD:  # (B, T, H, D), before the heads are added up
        value = model.transformer.h[layer].attn.c_proj(value.flatten(2))
    x = (
        value
        if what == "residual"
        else runs.corrupted.stream(layer, "attention" if what == "mlp" else "entering") + value
    )
    return run_on(model, x, layer, point, runs.corrupted)
