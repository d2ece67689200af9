"""A forward run on from the middle: from a layer, with a stream that was kept there, to the logits of a few tokens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from nanochat.attention import Span
from nanochat.capture.sites import FINAL
from nanochat.capture.tap import SiteLayer, tap
from nanochat.errors import SettingInvalidError
from nanochat.gpt import GPT, norm
from nanochat.kv_cache import KVCache
from nanochat.why.reading import read_forward

Point = Literal["entering", "attention", "mlp"]  # of a layer: what it reads; the stream after its attention, its MLP
RESUMED = ("residual", "post_attn", "post_mlp", "k", "v")  # the sites that a text is run on from


@dataclass(frozen=True)
class Kept:
    """One text's forward: what is needed to run on from any layer.

    Attributes:
        ids: (1, T).
        values: site and layer to its values, (T, ...), in the compute dtype.
    """

    ids: Tensor
    values: dict[SiteLayer, Tensor]

    def stream(self, layer: int, point: Point) -> Tensor:
        """The stream at a point, (T, n_embd), added up as the model does."""
        x = self.values["residual", layer]
        if point != "entering":
            x = x + self.values["post_attn", layer]
        return x + self.values["post_mlp", layer] if point == "mlp" else x


def keep(
    model: GPT,
    tokens: Sequence[int],
    sites: Iterable[str] = RESUMED,
    *,
    cancel: threading.Event | None = None,
) -> Kept:
    """Run a text once and keep all layers' values of some sites, the embedding, and what the final norm reads last.

    Raises: as `read_forward`; SettingInvalidError: the model is being changed (`GPT.editing`).
    """
    if model.tap is not None and model.tap.lasting:
        raise SettingInvalidError("The model is being changed: end the `editing` block before you patch.")
    whole: dict[SiteLayer, int | None] = {
        (site, layer): None for site in sites for layer in range(model.config.n_layer)
    }
    last = len(tokens) - 1
    embedding: SiteLayer = ("token_embeddings", 0)
    reading = read_forward(model, tokens, [last], [(FINAL, 0)], {**whole, embedding: None}, cancel=cancel)
    ids = torch.tensor([list(tokens)], device=model.get_device())
    return Kept(ids, {**reading.whole, (FINAL, 0): reading.rows[FINAL, 0]})


class Before(KVCache):
    """For blocks: the keys and values of a text's first tokens, which all its variants share; it keeps no others."""

    def __init__(self, kept: Kept):
        self.kept = kept

    def write(self, layer_idx: int, k: Tensor, v: Tensor, span: Span) -> tuple[Tensor, Tensor]:
        """The variants' keys and values, each (B, T, H_kv, D), after those before them, each (B, S, H_kv, D)."""
        first = span.starts[0]
        if not first:
            return k, v
        keys, values = (self.kept.values[site, layer_idx][:first].expand(k.size(0), -1, -1, -1) for site in ("k", "v"))
        return torch.cat([keys, k], dim=1), torch.cat([values, v], dim=1)


def run_on(
    model: GPT,
    joining: Mapping[int, Tensor],
    point: Point,
    kept: Kept,
    keep: Callable[[int, Point, Tensor], None] | None = None,
    *,
    span: Span | None = None,
    cache: KVCache | None = None,
) -> Tensor:
    """What the final norm reads at the last position, (B, n_embd), of variants of one text.

    Each starts in a layer of its own, with the stream that it has there: the rows of a layer join those of the layers
    before it, and all go on together. All that they read beside the stream is the text's own: the embedding that is
    mixed in again, value embeddings, the keys and values of earlier positions, and of era F the stream at half depth,
    if that lies behind.

    Args:
        joining: layer to streams (B, T, n_embd) at that point of it, of the text's last T positions.
        kept: of the text, with the sites `RESUMED`.
        keep: called with layer, point and stream at every point further on; after the last layer's MLP it has the last
            position alone.
        span: where the T positions stand, if they are not the text's last.
        cache: what the layers write their keys and values to; None: those of earlier positions are the text's own.
    """
    config, start = model.config, min(joining)
    depth, half, x = config.n_layer, config.n_layer // 2, joining[start][:0]
    span = span or Span([kept.ids.size(1) - x.size(1)], x.size(1), x.device)
    here, cache = slice(span.starts[0], span.end), cache or Before(kept)
    rotary, ids, x0 = model.rotary_at(span), kept.ids[:, here], embedded(model, kept)[:, here]
    middle = x[:, -1:]

    def reaching(at: Point, x: Tensor) -> Tensor:
        if len(x) and keep is not None:
            keep(i, at, x)
        return torch.cat([x, joining[i][:, -x.size(1) :]]) if at == point and i in joining else x

    _stand(model, span)
    for i in range(start, depth):
        block = model.transformer.h[i]
        x = reaching("entering", tap(model, "residual", model.entering(i, x, x0), i) if len(x) else x)
        if len(x):
            ve = model.value_embedding(i, ids)
            x = block.attended(x, None if ve is None else ve.expand(len(x), -1, -1), rotary, span, cache)
        x = reaching("attention", x)
        if i == depth - 1:  # no other position is read any more
            x = x[:, -1:]
            _stand(model, Span([span.end - 1], 1, x.device))
        x = reaching("mlp", block.after_attention(x) if len(x) else x)
        if i == half:
            middle = x[:, -1:]
    if model.era.smear and len(middle) < len(x):
        own = kept.stream(half, "mlp")[span.end - 1 : span.end]
        middle = torch.cat([middle, own.expand(len(x) - len(middle), -1, -1)])
    x = tap(model, "residual", x, depth)
    return tap(model, "final_residual", model.leaving(x, middle))[:, -1]


def _stand(model: GPT, span: Span) -> None:
    """Where the next values stand, for whoever changes them on the way."""
    if model.tap is not None:
        model.tap.span = span


def embedded(model: GPT, kept: Kept) -> Tensor:
    """x0, the normed embedding, in era F smeared: (1, T, n_embd)."""
    x = norm(kept.values["token_embeddings", 0][None])
    return model.smeared(x) if model.era.smear else x


def logits_of(model: GPT, final: Tensor, tokens: Sequence[int]) -> Tensor:
    """Of what the final norm reads, (B, n_embd), the logits of a few tokens, (B, tokens) float32 after the softcap."""
    return model.softcapped(F.linear(norm(final), model.lm_head.weight[list(tokens)]))
