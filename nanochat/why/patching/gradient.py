"""Attribution patching: the effects of all patches at once, to first order, from one backward."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nanochat.gpt import GPT
from nanochat.why.patching.resuming import Kept, Point, embedded, run_on
from nanochat.why.patching.runs import BY_HEAD, PLACES, Cell, Runs, What, difference_of


def gradient_effects(model: GPT, runs: Runs, what: What, cells: Sequence[Cell]) -> dict[Cell, float]:
    """The effect of each cell if the logit difference were linear in what is patched: an approximation.

    (clean value - corrupted value) . gradient at the corrupted one (Nanda 2023, "Attribution Patching").
    """
    site, point = PLACES[what]
    layers = sorted({layer for layer, _ in cells})
    gradients = gradients_at(model, runs, point, layers)
    of_unit: dict[int, list[float]] = {}
    with torch.inference_mode():
        for layer, gradient in zip(layers, gradients, strict=True):
            change = runs.clean.values[site, layer] - runs.corrupted.values[site, layer]
            if what in BY_HEAD:
                weight = model.transformer.h[layer].attn.c_proj.weight  # (n_embd, H * D)
                gradient = (gradient @ weight).view_as(change)
                of_unit[layer] = (change * gradient).double().sum(dim=(0, 2)).tolist()
            else:
                of_unit[layer] = (change * gradient).double().sum(dim=1).tolist()
    scale = runs.clean_end - runs.corrupted_end
    return {(layer, unit): of_unit[layer][unit] / scale for layer, unit in cells}


def gradients_at(model: GPT, runs: Runs, point: Point, layers: Sequence[int]) -> list[Tensor]:
    """The gradient of the corrupted prompt's logit difference at a point of each layer's stream, (T, n_embd)."""
    streams: dict[int, Tensor] = {}

    def keep(layer: int, at: Point, x: Tensor) -> None:
        if at == point and layer in layers:
            streams[layer] = x

    with torch.inference_mode(False), torch.enable_grad():
        kept = Kept(
            runs.corrupted.ids.clone(), {place: value.clone() for place, value in runs.corrupted.values.items()}
        )
        x0 = embedded(model, kept)[:, runs.pair.first_difference :]  # no value before it differs
        x = model.entering(0, x0, x0).detach().requires_grad_()
        keep(0, "entering", x)
        difference = difference_of(model, run_on(model, {0: x}, "entering", kept, keep), runs.pair)
        found = torch.autograd.grad(difference.sum(), [streams[layer] for layer in layers])
    whole = [gradient.new_zeros(1, runs.pair.length, gradient.size(-1)) for gradient in found]
    for all_of_it, gradient in zip(whole, found, strict=True):
        all_of_it[:, -gradient.size(1) :] = gradient  # what is left out no patch changes, or nobody reads
    return [gradient[0] for gradient in whole]
