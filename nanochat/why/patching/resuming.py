"""A forward run on from the middle: from a layer, with a stream that was kept there, to the logits of a few tokens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from nanochat.attention import Span
from nanochat.capture.sites import FINAL
from nanochat.capture.tap import SiteLayer
from nanochat.errors import SettingInvalidError
from nanochat.gpt import GPT, norm
from nanochat.why.reading import read_forward

Point = Literal["entering", "attention", "mlp"]  # of a layer: what it reads; the stream after its attention, its MLP


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
    sites: Iterable[str] = ("residual", "post_attn", "post_mlp"),
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


def run_on(
    model: GPT,
    x: Tensor,
    layer: int,
    point: Point,
    kept: Kept,
    keep: Callable[[int, Point, Tensor], None] | None = None,
) -> Tensor:
    """What the final norm reads at the last position, (B, n_embd), when the stream is `x` at a point.

    Its rows are variants of one text. All that the layers read beside the stream is the text's own: the embedding that
    they mix in again, value embeddings, and of era F the stream at half depth, if that lies behind.

    Args:
        x: (B, T, n_embd), at that point of the layer.
        kept: of the text, with residual, post_attn and post_mlp.
        keep: called with layer, point and stream at every point further on; after the last layer's MLP it has the last
            position alone.
    """
    config, (B, T, _) = model.config, x.shape
    span = Span([0] * B, T, x.device)
    rotary, x0 = model.rotary_at(span), embedded(model, kept)
    half = config.n_layer // 2
    middle = kept.stream(half, "mlp") if layer > half else x
    for i in range(layer, config.n_layer):
        block = model.transformer.h[i]
        if i > layer:
            x, point = model.entering(i, x, x0), "entering"
            _tell(keep, i, point, x)
        if point == "entering":
            ve = model.value_embedding(i, kept.ids)
            x, point = block.attended(x, None if ve is None else ve.expand(B, -1, -1), rotary, span, None), "attention"
            _tell(keep, i, point, x)
        if i == config.n_layer - 1:
            x = x[:, -1:]  # no other position is read any more
        if point == "attention":
            x = block.after_attention(x)
            _tell(keep, i, "mlp", x)
        if i == half:
            middle = x
    return model.leaving(x, middle[..., -1:, :])[:, -1]


def _tell(keep: Callable[[int, Point, Tensor], None] | None, layer: int, point: Point, x: Tensor) -> None:
    if keep is not None:
        keep(layer, point, x)


def embedded(model: GPT, kept: Kept) -> Tensor:
    """x0, the normed embedding, in era F smeared: (1, T, n_embd)."""
    x = norm(kept.values["token_embeddings", 0][None])
    return model.smeared(x) if model.era.smear else x


def logits_of(model: GPT, final: Tensor, tokens: Sequence[int]) -> Tensor:
    """Of what the final norm reads, (B, n_embd), the logits of a few tokens, (B, tokens) float32 after the softcap."""
    return model.softcapped(F.linear(norm(final), model.lm_head.weight[list(tokens)]))
