"""The keys and values of the tokens already run, for rows that may stand at different positions."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from nanochat.attention import DeviceSpan, Span


class KVCache:
    """Keys and values of every layer, and how far each row has come.

    Tensors are (n_layers, B, seq_len, H_kv, D). Positions are kept on the host, so that no forward waits for the
    device to learn where it is.
    """

    def __init__(
        self,
        batch_size: int,
        num_heads: int,
        seq_len: int,
        head_dim: int,
        num_layers: int,
        device: torch.device | str,
        dtype: torch.dtype,
    ):
        self.batch_size, self.max_seq_len = batch_size, seq_len
        self.n_layers, self.n_heads, self.head_dim = num_layers, num_heads, head_dim
        shape = (num_layers, batch_size, seq_len, num_heads, head_dim)
        with torch.inference_mode(False):  # it may be used outside of where it was made
            self.k_cache = torch.zeros(shape, device=device, dtype=dtype)
            self.v_cache = torch.zeros(shape, device=device, dtype=dtype)
        self.positions = [0] * batch_size
        self.prev_embedding: Tensor | None = None  # (B, 1, n_embd), before smearing; None: no token yet
        self.logits_wanted: Literal["all", "last"] = "all"  # "last": forward returns the last position's alone
        self.on_device: DeviceSpan | None = None  # where the next tokens stand, if the host is not to know

    def reset(self) -> None:
        """Forget every token."""
        self.positions = [0] * self.batch_size
        self.prev_embedding = None

    def get_pos(self) -> int:
        """The position of all rows.

        Raises:
            ValueError: the rows stand at different positions.
        """
        if len(set(self.positions)) > 1:
            raise ValueError(f"the rows stand at different positions: {self.positions}")
        return self.positions[0]

    def get_layer_cache(self, layer_idx: int) -> tuple[Tensor, Tensor]:
        """One layer's keys and values, each (B, seq_len, H_kv, D)."""
        return self.k_cache[layer_idx], self.v_cache[layer_idx]

    def advance(self, num_tokens: int) -> None:
        """Count tokens that every row has now run."""
        self.positions = [position + num_tokens for position in self.positions]

    def span(self, count: int) -> Span:
        """Where the next `count` tokens of each row stand."""
        return self.on_device or Span(self.positions, count, self.k_cache.device)

    def write(self, layer_idx: int, k: Tensor, v: Tensor, span: Span) -> tuple[Tensor, Tensor]:
        """Add the new tokens' keys and values, each (B, T, H_kv, D); returns all so far, each (B, S, H_kv, D).

        What is returned has the type of `k` and `v`, whatever the cache keeps.
        """
        assert span.end <= self.max_seq_len, f"the cache holds {self.max_seq_len} positions, {span.end} are needed"
        keys, values = self.get_layer_cache(layer_idx)
        if span.uniform:
            keys[:, span.starts[0] : span.end] = k
            values[:, span.starts[0] : span.end] = v
        else:
            rows = torch.arange(self.batch_size, device=keys.device)[:, None]
            keys[rows, span.positions] = k.to(keys.dtype)  # unlike a slice, an index does not convert
            values[rows, span.positions] = v.to(values.dtype)
        return keys[:, : span.end].to(k.dtype), values[:, : span.end].to(v.dtype)

    def prefill(self, other: KVCache) -> None:
        """Give every row of this empty cache the one sequence that `other` holds."""
        assert not any(self.positions), "cannot prefill a cache that holds tokens"
        for row in range(self.batch_size):
            self.load_row(row, other)

    def load_row(self, row: int, other: KVCache, other_row: int = 0) -> None:
        """Replace one row by a row of another cache, at that row's own position."""
        assert (self.n_layers, self.n_heads, self.head_dim) == (other.n_layers, other.n_heads, other.head_dim)
        position = other.positions[other_row]
        assert position <= self.max_seq_len, f"{position} tokens do not fit a cache of {self.max_seq_len}"
        self.k_cache[:, row, :position] = other.k_cache[:, other_row, :position]
        self.v_cache[:, row, :position] = other.v_cache[:, other_row, :position]
        self.positions[row] = position
        if other.prev_embedding is not None:
            if self.prev_embedding is None:
                self.prev_embedding = other.prev_embedding.new_zeros(self.batch_size, 1, other.prev_embedding.size(-1))
            self.prev_embedding[row] = other.prev_embedding[other_row]
