"""The effect of patches, exactly: variants of the corrupted prompt run on together from where they are patched."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

import torch
from torch import Tensor

from nanochat.cancelling import check_cancel
from nanochat.gpt import GPT
from nanochat.why.patching.pair import Pair
from nanochat.why.patching.resuming import run_on
from nanochat.why.patching.runs import BY_HEAD, PLACES, Cell, Runs, What, difference_of

TOKENS_AT_ONCE = 1024  # of all variants that are run together: more are no quicker on a CPU
KEYS_AT_ONCE = 8192  # positions that all variants together read keys of: bounds memory where few tokens are run


@torch.inference_mode()
def exact_effects(
    model: GPT,
    runs: Runs,
    what: What,
    cells: Sequence[Cell],
    on_progress: Callable[[int, int], None] | None = None,
    cancel: threading.Event | None = None,
) -> dict[Cell, float]:
    """The effect of each cell. Of a prompt only what a patch can change is run: positions and layers from there on."""
    found = dict.fromkeys(cells, 0.0)
    waiting = [cell for cell in cells if is_read(model, runs, what, cell)]
    units, done = unit_count(model, runs, what), len(cells) - len(waiting)
    _tell(on_progress, done, len(cells))
    for first, batch in batches(waiting, what, runs.pair):
        check_cancel(cancel)
        patched = {
            layer: torch.eye(units, dtype=torch.bool, device=model.get_device())[[unit for _, unit in of_layer]]
            for layer, of_layer in groupby(batch, key=lambda cell: cell[0])
        }
        differences = difference_of(model, patched_end(model, runs, what, patched, first), runs.pair)
        found |= {cell: runs.share(one) for cell, one in zip(batch, differences.tolist(), strict=True)}
        done += len(batch)
        _tell(on_progress, done, len(cells))
    return found


def _tell(on_progress: Callable[[int, int], None] | None, done: int, whole: int) -> None:
    if on_progress is not None:
        on_progress(done, whole)


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


def batches(cells: Sequence[Cell], what: What, pair: Pair) -> Iterator[tuple[int, list[Cell]]]:
    """The cells that are run together, in layers that ascend, and the first position that one of them changes."""
    by_head = what in BY_HEAD
    ordered = cells if by_head else sorted(cells, key=lambda cell: (cell[1], cell[0]))
    done = 0
    while done < len(ordered):
        first = pair.first_difference if by_head else ordered[done][1]
        at_once = max(1, min(TOKENS_AT_ONCE // (pair.length - first), KEYS_AT_ONCE // pair.length))
        yield first, sorted(ordered[done : done + at_once])
        done += at_once


def patched_end(model: GPT, runs: Runs, what: What, patched: Mapping[int, Tensor], first: int = 0) -> Tensor:
    """What the final norm reads last, (B, n_embd), of variants of the corrupted prompt.

    Args:
        patched: layer to which of its heads or positions each variant has from the clean prompt, (B, units) bool.
        first: no position before it is patched with another value.
    """
    point = PLACES[what][1]
    joining = {layer: _patched(model, runs, what, layer, mask, first) for layer, mask in patched.items()}
    return run_on(model, joining, point, runs.corrupted)


def _patched(model: GPT, runs: Runs, what: What, layer: int, patched: Tensor, first: int) -> Tensor:
    """The patched stream from a position on, (B, T, n_embd)."""
    site = PLACES[what][0]
    mask = patched[:, None, :, None] if what in BY_HEAD else patched[:, first:, None]
    value = torch.where(mask, runs.clean.values[site, layer][first:], runs.corrupted.values[site, layer][first:])
    if what == "residual":
        return value
    if what in BY_HEAD:  # (B, T, H, D), before the heads are added up
        value = model.transformer.h[layer].attn.c_proj(value.flatten(2))
    return runs.corrupted.stream(layer, "attention" if what == "mlp" else "entering")[first:] + value
