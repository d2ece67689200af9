"""Causal attention over a cache: the fused kernel for the values, an explicit softmax where weights are wanted."""

from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor


class Span:
    """Where the T new tokens of one forward stand in each of its B rows, and which keys they see.

    Rows may stand at different positions: each then has its own mask. The usual case, all rows at the same
    position, needs no mask while decoding.
    """

    def __init__(self, starts: list[int], count: int, device: torch.device):
        assert starts and count > 0
        self.starts, self.count, self.device = starts, count, device
        self.uniform = starts.count(starts[0]) == len(starts)
        self.end = max(starts) + count  # S: the number of keys that some row can see
        self._masks: dict[int, Tensor] = {}

    @cached_property
    def positions(self) -> Tensor:
        """The position of every new token, (B, T), or (1, T) where all rows agree."""
        starts = torch.tensor(self.starts[:1] if self.uniform else self.starts, device=self.device)
        return starts[:, None] + torch.arange(self.count, device=self.device)

    def first_key(self, window: int) -> int:
        """The first key that a single new token sees when all rows stand at one position."""
        return max(0, self.end - 1 - window)

    def visible(self, window: int) -> Tensor:
        """True where a query sees a key, 0 <= i - j <= window: (B, 1, T, S), or (1, 1, T, S) where all rows agree."""
        if window not in self._masks:
            keys = torch.arange(self.end, device=self.device)
            distance = self.positions[:, None, :, None] - keys  # i - j
            self._masks[window] = (distance >= 0) & (distance <= window)
        return self._masks[window]


def attend(q: Tensor, k: Tensor, v: Tensor, span: Span, window: int) -> Tensor:
    """Causal, windowed, grouped-query attention by torch's fused kernel.

    Args:
        q: queries of the new tokens, (B, T, H, D).
        k, v: all keys and values so far, (B, S, H_kv, D).
        span: where the new tokens stand.
        window: a query at i sees keys j with 0 <= i - j <= window.

    Returns:
        (B, T, H, D).
    """
    mask, causal = None, False
    if span.uniform and span.count == 1:
        first = span.first_key(window)
        k, v = k[:, first:], v[:, first:]
    elif span.uniform and span.starts[0] == 0 and window >= span.count - 1:
        causal = True
    else:
        mask = span.visible(window)
    grouped = q.size(2) != k.size(2)
    out = F.scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask, is_causal=causal, enable_gqa=grouped
    )
    return out.transpose(1, 2)


def attention_weights(q: Tensor, k: Tensor, span: Span, window: int) -> Tensor:
    """The weights that `attend` uses, by an explicit softmax in float32.

    Args:
        q, k, span, window: as for `attend`.

    Returns:
        (B, H, T, S); 0 where a query does not see a key, every row sums to 1.
    """
    B, T, H, D = q.shape
    groups = H // k.size(2)
    q = q.float().view(B, T, k.size(2), groups, D).permute(0, 2, 3, 1, 4)  # (B, H_kv, G, T, D)
    k = k.float().permute(0, 2, 3, 1)[:, :, None]  # (B, H_kv, 1, D, S)
    scores = ((q @ k) * D**-0.5).flatten(1, 2)  # (B, H, T, S)
    return scores.masked_fill(~span.visible(window), -torch.inf).softmax(-1)


def last_row_weights(layers: list[tuple[Tensor, Tensor, int]], row: int, span: Span, out: Tensor) -> None:
    """The attention of one new token in several layers at once, one softmax for all of them.

    Decoding a small model is bound by the number of operations, so the layers share what they can. On the CPU each
    layer's keys are read where they lie; an accelerator is slower to start an operation than to copy the keys together.

    Args:
        layers: of each, q (B, 1, H, D), k (B, S, H_kv, D) and the window.
        row: which of the B.
        span: one new token, all rows at one position.
        out: (layers, H, S), float32; receives the weights.
    """
    scores = _scores_together(layers, row) if out.is_cuda else _scores_layer_by_layer(layers, row)
    for (_, _, window), layer_scores in zip(layers, scores.unbind(0), strict=True):
        if span.first_key(window) > 0:
            layer_scores[..., : span.first_key(window)] = -torch.inf
    torch.softmax(scores.view(out.shape), dim=-1, out=out)


def _scores_layer_by_layer(layers: list[tuple[Tensor, Tensor, int]], row: int) -> Tensor:
    """Scaled scores (layers, H_kv, G, S), float32."""
    _, S, H_kv, D = layers[0][1].shape
    H = layers[0][0].size(2)
    scores = layers[0][0].new_empty(len(layers), H_kv, H // H_kv, S, dtype=torch.float32)
    for (q, k, _), layer_scores in zip(layers, scores.unbind(0), strict=True):
        queries, keys = q[row].view(H_kv, -1, D), k[row].permute(1, 2, 0)
        if q.dtype != torch.float32:
            queries, keys = queries.float(), keys.float()
        torch.baddbmm(layer_scores, queries, keys, beta=0, alpha=D**-0.5, out=layer_scores)
    return scores


def _scores_together(layers: list[tuple[Tensor, Tensor, int]], row: int) -> Tensor:
    """The same in one product."""
    _, _, H_kv, D = layers[0][1].shape
    queries = torch.cat([q[row] for q, _, _ in layers]).float().view(len(layers), H_kv, -1, D)
    keys = torch.stack([k[row] for _, k, _ in layers]).float()  # (layers, S, H_kv, D)
    return (queries @ keys.permute(0, 2, 3, 1)) * D**-0.5
