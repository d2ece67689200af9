"""Activation patching: what of a clean prompt, put into a corrupted one, brings the answer back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch

from nanochat.cancelling import check_cancel
from nanochat.common import without_autocast
from nanochat.errors import SettingInvalidError, non_finite_error
from nanochat.gpt import GPT
from nanochat.gpt_config import GPTConfig
from nanochat.memory import memory_explained
from nanochat.model_turn import turn_of
from nanochat.why.checks import checked
from nanochat.why.patching.exact import exact_effects
from nanochat.why.patching.gradient import gradient_effects
from nanochat.why.patching.pair import Pair
from nanochat.why.patching.paths import Receiver, checked_receiver, path_effects
from nanochat.why.patching.runs import BY_HEAD, Cell, What, run_both

Method = Literal["exact", "gradient"]
CHECKED = 4  # cells that are computed exactly too, where the others are approximations
GRADIENT_FORWARDS = 6  # about: two prompts, forward and backward, and the cells that are checked
ADVICE = "use shorter prompts, fewer layers, or a device with more memory"


@dataclass(frozen=True)
class Axes:
    """What a scan's rows and columns are: layers, and heads or positions."""

    layers: list[int]
    units: list[int]

    @property
    def cells(self) -> list[Cell]:
        """All of them, row by row."""
        return [(layer, unit) for layer in self.layers for unit in self.units]


@dataclass(frozen=True)
class Scan:
    """What a patching scan found.

    Attributes:
        clean, corrupted: the answer's logit minus the other's, after the softcap, without a patch.
        effects: by the axes, the share of the way from corrupted, 0, to clean, 1, that a patch brings the difference;
            it may go back, or further.
        checked: of a gradient's scan, the cells that were computed exactly too, the strongest ones.
        worst_error: the largest difference from those.
    """

    axes: Axes
    clean: float
    corrupted: float
    effects: list[list[float]]
    checked: list[Cell] = field(default_factory=list)
    worst_error: float | None = None


def scan_axes(
    config: GPTConfig,
    pair: Pair,
    what: What,
    method: Method,
    layers: Sequence[int] | None = None,
    receiver: Receiver | None = None,
) -> Axes:
    """The cells of a scan. Raises SettingInvalidError: what there is not."""
    for kind, name, names in (("what", what, get_args(What)), ("method", method, get_args(Method))):
        if name not in names:
            raise SettingInvalidError(f"{kind} {name!r}: choose from {', '.join(names)}.")
    depth = config.n_layer
    if what == "paths":
        depth = checked_receiver(receiver, config).layer
        if method != "exact":
            raise SettingInvalidError("Paths are computed exactly, and in no other way: leave the method out.")
    elif receiver is not None:
        raise SettingInvalidError("Only paths lead to a receiver: leave it out, or ask for paths.")
    rows = list(range(depth)) if layers is None else checked("layer", layers, depth)
    if not rows:
        raise SettingInvalidError("There is no layer to patch: name at least one.")
    return Axes(rows, list(range(config.n_head if what in BY_HEAD else pair.length)))


def patch_scan(
    model: GPT,
    pair: Pair,
    what: What = "heads",
    method: Method = "exact",
    *,
    layers: Sequence[int] | None = None,
    receiver: Receiver | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    cancel: threading.Event | None = None,
) -> Scan:
    """What carried the answer: values of the clean prompt put into the corrupted one, a cell at a time.

    The effect is that on the difference of two tokens' logits at the last position (activation patching; Wang et al.
    2022, "Interpretability in the Wild").

    Args:
        pair: the prompts and the tokens.
        what: "heads": a head's output at all positions. "attention", "mlp": what that wrote at one position.
            "residual": the stream that a layer reads, at one position. "paths": what a head of an earlier layer gives
            the receiver directly.
        method: "exact"; "gradient": all cells from one backward, to first order, which is an approximation.
        layers: these alone.
        receiver: of paths, the head that reads, and by what.
        on_progress: called with the cells run so far and all of them.

    Raises:
        SettingInvalidError: what there is not; prompts between which the difference is the same; not enough memory.
        NonFiniteError: the model computed NaN or infinity. CancelledError: `cancel` was set.
    """
    axes = scan_axes(model.config, pair, what, method, layers, receiver)
    device, checked_cells, worst = model.get_device(), [], None
    with memory_explained(device, "this scan", ADVICE), turn_of(model).held(cancel), without_autocast(device):
        runs = run_both(model, pair, what, cancel)
        if receiver is not None:
            found = path_effects(model, runs, axes.cells, receiver, on_progress, cancel)
        elif method == "exact":
            found = exact_effects(model, runs, what, axes.cells, on_progress, cancel)
        else:
            found = gradient_effects(model, runs, what, axes.cells)
            check_cancel(cancel)
            checked_cells = sorted(sorted(axes.cells, key=lambda cell: -abs(found[cell]))[:CHECKED])
            exact = exact_effects(model, runs, what, checked_cells, on_progress, cancel)
            worst = max(abs(found[cell] - exact[cell]) for cell in checked_cells)
    if not torch.tensor([*found.values(), worst or 0.0]).isfinite().all():
        raise non_finite_error(pair.length - 1)
    effects = [[found[layer, unit] for unit in axes.units] for layer in axes.layers]
    return Scan(axes, runs.clean_end, runs.corrupted_end, effects, checked_cells, worst)


def scan_forwards(
    config: GPTConfig, pair: Pair, what: What, method: Method, axes: Axes, receiver: Receiver | None
) -> int:
    """How many forwards of a whole prompt a scan is worth, of which it runs what a patch can change."""
    if method == "gradient":
        return GRADIENT_FORWARDS
    after = pair.length - pair.first_difference  # tokens that the first patch can change, or one of all of them
    tokens = len(axes.units) * after if what in BY_HEAD else after * (after + 1) // 2
    through = [receiver.layer if receiver else layer for layer in axes.layers]
    layers = tokens * sum(config.n_layer - layer for layer in through)
    return 2 + -(-layers // (config.n_layer * pair.length))
