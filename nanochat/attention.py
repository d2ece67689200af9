"""Causal attention over a cache: by the fused kernel, or explicitly where its weights are wanted or it is no slower."""

from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

EXPLICIT = (torch.float32, torch.float64)
# cuDNN's is not among them: of 512 keys and more it made something else every time (torch 2.11 on an H200).
REPEATABLE = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def returns_weights(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether `attend` computes one token of one row explicitly there, which leaves its weights behind."""
    return device.type == "cpu" and dtype in EXPLICIT


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
        self._hidden: dict[int, Tensor] = {}
        self._biases: dict[int, Tensor] = {}

    @cached_property
    def positions(self) -> Tensor:
        """The position of every new token, (B, T), or (1, T) where all rows agree."""
        starts = torch.tensor(self.starts[:1] if self.uniform else self.starts, device=self.device)
        return starts[:, None] + torch.arange(self.count, device=self.device)

    def first_key(self, window: int) -> int:
        """The first key that a single new token sees when all rows stand at one position."""
        return max(0, self.end - 1 - window)

    def hidden(self, window: int) -> Tensor:
        """False where a query sees a key, 0 <= i - j <= window: (B, 1, T, S), or (1, 1, T, S) where all rows agree."""
        if window not in self._hidden:
            keys = torch.arange(self.end, device=self.device)
            distance = self.positions[:, None, :, None] - keys  # i - j
            self._hidden[window] = (distance < 0) | (distance > window)
        return self._hidden[window]

    def bias(self, window: int, dtype: torch.dtype) -> Tensor:
        """`hidden` as the fused kernel takes it, in the one dtype of a forward: minus infinity there, else 0."""
        if window not in self._biases:
            hidden = self.hidden(window)
            self._biases[window] = torch.zeros_like(hidden, dtype=dtype).masked_fill_(hidden, -torch.inf)
        return self._biases[window]


class DeviceSpan(Span):
    """One new token of each row, at positions (B, 1) that the device alone knows, all of them before `end`.

    No operation on it depends on where the rows stand, so that they can be recorded once and repeated.
    """

    def __init__(self, positions: Tensor, end: int):
        super().__init__([end - 1] * len(positions), 1, positions.device)  # as far as they may stand
        self.uniform, self.positions = False, positions


def attend(q: Tensor, k: Tensor, v: Tensor, span: Span, window: int) -> tuple[Tensor, Tensor | None]:
    """Causal, windowed, grouped-query attention.

    One token of one row in float32 or float64 on the CPU is computed explicitly, which is as fast as the fused kernel
    there and leaves the weights behind. So is a token whose position the device alone knows: of the kernels that take
    a mask then, torch's own is slow and cuDNN's not repeatable. Everything else is left to torch's fused kernel, which
    hides the weights.

    Args:
        q: queries of the new tokens, (B, T, H, D).
        k, v: all keys and values so far, (B, S, H_kv, D).
        span: where the new tokens stand.
        window: a query at i sees keys j with 0 <= i - j <= window.

    Returns:
        The mixed values (B, T, H, D), and the weights (B, H, T, keys seen) where they came with them.
    """
    if isinstance(span, DeviceSpan):
        return _attend_to_all(q, k, v, span, window)
    mask, causal = None, False
    if span.uniform and span.count == 1:
        first = span.first_key(window)
        k, v = (k[:, first:], v[:, first:]) if first else (k, v)
        if q.size(0) == 1 and returns_weights(q.device, q.dtype):
            return _attend_explicitly(q, k, v)
    elif span.uniform and span.starts[0] == 0 and window >= span.count - 1:
        causal = True
    else:
        mask = span.bias(window, q.dtype)
    grouped = q.size(2) != k.size(2)
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    with _repeatable_kernels(q.device):
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=grouped)
    return out.transpose(1, 2), None


def _repeatable_kernels(device: torch.device) -> AbstractContextManager[Any]:
    return sdpa_kernel(REPEATABLE) if device.type == "cuda" else nullcontext()


def _attend_explicitly(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """One token of one row, every key seen: (1, 1, H, D) and (1, H, 1, S)."""
    _, _, H, D = q.shape
    H_kv = k.size(2)
    weights = torch.bmm((q * D**-0.5).view(H_kv, H // H_kv, D), k[0].permute(1, 2, 0)).softmax(-1)  # (H_kv, G, S)
    return torch.bmm(weights, v[0].transpose(0, 1)).view(1, 1, H, D), weights.view(1, H, 1, -1)


def _attend_to_all(q: Tensor, k: Tensor, v: Tensor, span: Span, window: int) -> tuple[Tensor, Tensor]:
    """One token of every row, keys that it does not see masked: (B, 1, H, D) and (B, H, 1, S)."""
    weights = attention_weights(q, k, span, window)
    return mix(weights, v), weights


def mix(weights: Tensor, v: Tensor) -> Tensor:
    """Values mixed by attention weights: (B, H, T, S) and (B, S, H_kv, D) to (B, T, H, D)."""
    B, H, T, S = weights.shape
    grouped = weights.reshape(B, v.size(2), -1, S).to(v.dtype)  # each kv head serves consecutive query heads
    return (grouped @ v.transpose(1, 2)).view(B, H, T, -1).transpose(1, 2)


def attention_weights(q: Tensor, k: Tensor, span: Span, window: int) -> Tensor:
    """The weights that `attend` uses, by an explicit softmax in float32, or in float64 where q has that.

    Args:
        q, k, span, window: as for `attend`.

    Returns:
        (B, H, T, S); 0 where a query does not see a key, every row sums to 1.
    """
    (B, T, H, D), (S, H_kv) = q.shape, k.shape[1:3]
    dtype = torch.promote_types(q.dtype, torch.float32)
    q = (q.to(dtype) * D**-0.5).view(B, T, H_kv, -1, D).permute(0, 2, 3, 1, 4).flatten(2, 3)  # (B, H_kv, G * T, D)
    scores = (q @ k.to(dtype).permute(0, 2, 3, 1)).view(B, H, T, S)  # keys are (B, H_kv, D, S)
    return scores.masked_fill_(span.hidden(window), -torch.inf).softmax(-1)
