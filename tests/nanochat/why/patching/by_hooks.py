"""Activation patching as one would write it with torch's hooks: a whole forward for each patch, no tap."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nanochat.gpt import GPT
from tests.nanochat.why.hooks import Change, hooked

Site = tuple[int, str]


def module_of(model: GPT, site: Site) -> tuple[nn.Module, bool]:
    """The module whose input (True) or output a site is."""
    layer, name = site
    block = model.transformer.h[layer]
    return {
        "residual": (block, True),
        "heads": (block.attn.c_proj, True),
        "attention": (block.attn, False),
        "mlp": (block.mlp, False),
    }[name]


@torch.inference_mode()
def last_logits(model: GPT, tokens: Sequence[int], changes: dict[Site, Change] | None = None) -> Tensor:
    """The logits at the last position, (vocab,)."""
    with hooked((*module_of(model, site), change) for site, change in (changes or {}).items()):
        return model(torch.tensor([list(tokens)]))[0, -1].double()


def values_of(model: GPT, tokens: Sequence[int]) -> dict[Site, Tensor]:
    """Every site's value, (1, T, ...)."""
    kept: dict[Site, Tensor] = {}

    def keeping(site: Site) -> Change:
        return lambda value: kept.__setitem__(site, value.clone())

    names = ("residual", "heads", "attention", "mlp")
    sites = [(layer, name) for layer in range(model.config.n_layer) for name in names]
    last_logits(model, tokens, {site: keeping(site) for site in sites})
    return kept


def put(model: GPT, site: Site, value: Tensor, unit: int) -> Change:
    """A change that puts another run's value at one position, or for one head at all of them."""

    def change(own: Tensor) -> Tensor:
        found = own.clone()
        if site[1] == "heads":
            of_head = slice(unit * model.config.head_dim, (unit + 1) * model.config.head_dim)
            found[..., of_head] = value[..., of_head]
        else:
            found[:, unit] = value[:, unit]
        return found

    return change


def direct_path(
    model: GPT, clean: Sequence[int], corrupted: Sequence[int], sender: tuple[int, int], receiver: tuple[int, int, str]
) -> Tensor:
    """The last logits when a sender's head alone, and by no other layer, reaches one head's q, k or v."""
    of_clean, of_corrupted = values_of(model, clean), values_of(model, corrupted)
    (layer, head), (to, reader, by) = sender, receiver
    seen: list[Tensor] = []
    frozen: dict[Site, Change] = {
        (i, name): (lambda _, value=of_corrupted[i, name]: value) for i in range(to) for name in ("attention", "mlp")
    }
    del frozen[layer, "attention"]
    frozen[layer, "heads"] = put(model, (layer, "heads"), of_clean[layer, "heads"], head)
    frozen[to, "residual"] = lambda value: seen.append(value.clone())  # type: ignore[assignment, return-value]
    last_logits(model, corrupted, frozen)
    attention = model.transformer.h[to].attn
    normed = nn.functional.rms_norm(seen[0], (seen[0].size(-1),), eps=torch.finfo(torch.float32).eps)
    projections = {
        "q": [attention.c_q],
        "k": [attention.c_k],
        "v": [attention.c_v, getattr(attention, "ve_gate", None)],
    }
    handles = [
        projection.register_forward_pre_hook(lambda own, args, normed=normed: (normed[..., : args[0].size(-1)],))
        for projection in projections[by]
        if projection is not None
    ]
    mixed: list[Tensor] = []
    try:
        last_logits(model, corrupted, {(to, "heads"): lambda value: mixed.append(value.clone())})  # type: ignore[dict-item, return-value]
    finally:
        for handle in handles:
            handle.remove()
    return last_logits(model, corrupted, {(to, "heads"): put(model, (to, "heads"), mixed[0], reader)})
