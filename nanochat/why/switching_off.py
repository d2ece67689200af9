"""Forwards of one text in several rows, in each of which other heads and MLPs are switched off."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeVar

import torch
from torch import Tensor

from nanochat.attention import Span
from nanochat.cancelling import check_cancel
from nanochat.capture.tap import Edit, SiteLayer
from nanochat.gpt import GPT
from nanochat.gpt_config import GPTConfig
from nanochat.kv_cache import KVCache
from nanochat.why.patching.resuming import Kept, run_on
from nanochat.why.reading import CHUNK, handed_out

CACHED_AT_ONCE = 8192  # tokens that the caches of all rows hold together, about: bounds memory


@dataclass(frozen=True, order=True)
class Unit:
    """What can be switched off: a head of a layer, or, where `head` is None, its MLP."""

    layer: int
    head: int | None


Units = tuple[Unit, ...]
Row = TypeVar("Row", Unit, Units)


def heads_of(config: GPTConfig) -> list[Unit]:
    """Every head, in the order of the model."""
    return [Unit(layer, head) for layer in range(config.n_layer) for head in range(config.n_head)]


def units_of(config: GPTConfig, layers: Sequence[int]) -> list[Unit]:
    """Every head and every MLP of some layers, in the order of the model."""
    return [Unit(layer, head) for layer in layers for head in (*range(config.n_head), None)]


def rows_at_once(tokens: int) -> int:
    """How many rows of so long a text are run together."""
    return max(1, CACHED_AT_ONCE // tokens)


def parts(units: Sequence[Row], tokens: int) -> Iterator[Sequence[Row]]:
    """The rows that are run together, one unit or one set of units a row."""
    step = rows_at_once(tokens)
    yield from (units[start : start + step] for start in range(0, len(units), step))


@torch.inference_mode()
def run_rows(
    model: GPT,
    tokens: Sequence[int],
    units: Sequence[Units],
    *,
    read: Callable[[Tensor], Tensor] | None = None,
    on_progress: Callable[[int], None] | None = None,
    cancel: threading.Event | None = None,
) -> Tensor:
    """One text in as many rows as there are sets of units, those of each switched off in its own.

    Switched off is what adds nothing to the residual stream: a head whose columns of `c_proj` are zero, an MLP whose
    `c_proj` is.

    Args:
        read: what to keep of the logits of every token, (rows, T, vocab) to (rows, T, ...), in pieces of T; None: the
            logits of the last token alone.
        on_progress: called with the number of rows times the tokens just run.

    Returns:
        (rows, 1, vocab) float32, or what was read, (rows, T, ...).

    Raises:
        CancelledError: `cancel` was set.
    """
    config, device = model.config, model.get_device()
    sizes = (config.n_kv_head, len(tokens), config.head_dim, config.n_layer)
    cache = KVCache(len(units), *sizes, device, model.compute_dtype)
    cache.logits_wanted = "last" if read is None else "all"
    ids = torch.tensor([list(tokens)], device=device).expand(len(units), -1)
    found: list[Tensor] = []
    with handed_out(model, _edits(units, device)):
        for chunk in ids.split(max(1, CHUNK // len(units)), dim=1):
            check_cancel(cancel)
            logits = model(chunk, kv_cache=cache)
            found = [logits] if read is None else [*found, read(logits)]
            if on_progress is not None:
                on_progress(chunk.numel())
    return torch.cat(found, dim=1)


class _Grown(KVCache):
    """A cache of rows that join in layer after layer: each layer's are the first so many of all."""

    def __init__(self, model: GPT, rows: Mapping[int, int], tokens: int):
        config, self.rows = model.config, rows
        sizes = (config.n_kv_head, tokens, config.head_dim, config.n_layer)
        super().__init__(max(rows.values()), *sizes, model.get_device(), model.compute_dtype)

    def get_layer_cache(self, layer_idx: int) -> tuple[Tensor, Tensor]:
        """Of the rows that there are, each (rows, seq_len, H_kv, D)."""
        keys, values = super().get_layer_cache(layer_idx)
        return keys[: self.rows[layer_idx]], values[: self.rows[layer_idx]]


@torch.inference_mode()
def run_from(
    model: GPT,
    kept: Kept,
    units: Sequence[Unit],
    *,
    here: bool,
    on_progress: Callable[[int], None] | None = None,
    cancel: threading.Event | None = None,
) -> Tensor:
    """A text's last logits in as many rows as there are units, (rows, vocab) float32, each switched off in its own.

    A row begins in its unit's layer, as nothing below that differs.

    Args:
        kept: the text's own forward, with residual, k and v, and of era F the other parts of the stream at half depth.
        units: in layers that ascend.
        here: they are switched off at the last position alone; else everywhere.
        on_progress: called with the tokens just run, times the layers that they went through.

    Raises:
        CancelledError: `cancel` was set.
    """
    device, depth, tokens = model.get_device(), model.config.n_layer, kept.ids.size(1)
    starting = Counter(unit.layer for unit in units)
    rows = dict(enumerate(accumulate(starting[layer] for layer in range(depth))))
    first, step = tokens - 1 if here else 0, max(1, CHUNK // len(units))
    cache = _Grown(model, rows, tokens) if first + step < tokens else None
    layers, final = sum(rows.values()), torch.empty(0)
    with handed_out(model, _edits([(unit,) for unit in units], device)):
        for start in range(first, tokens, step):
            check_cancel(cancel)
            span = Span([start], min(step, tokens - start), device)
            joining = {
                layer: kept.values["residual", layer][start : span.end].expand(count, -1, -1)
                for layer, count in starting.items()
            }
            final = run_on(model, joining, "entering", kept, span=span, cache=cache)
            if on_progress is not None:
                on_progress(layers * span.count)
    return model.unembed(final)


def _edits(units: Sequence[Units], device: torch.device) -> dict[SiteLayer, Edit]:
    """What zeroes each row's units: of heads the values that they mixed, of MLPs their output."""
    layers = {unit.layer for row in units for unit in row if unit.head is not None}
    edits: dict[SiteLayer, Edit] = {("z", layer): _heads_off(units, layer, device) for layer in layers}
    whole = {unit.layer for row in units for unit in row if unit.head is None}
    return edits | {("post_mlp", layer): _mlp_off(units, layer, device) for layer in whole}


def _heads_off(units: Sequence[Units], layer: int, device: torch.device) -> Edit:
    places = [(row, unit.head) for row, found in enumerate(units) for unit in found if unit.layer == layer]
    rows, heads = zip(*[(row, head) for row, head in places if head is not None], strict=True)
    index = (torch.tensor(rows, device=device), slice(None), torch.tensor(heads, device=device))

    def edit(value: Tensor, span: Span) -> Tensor:  # (rows, T, H, D)
        value = value.clone()
        value[index] = 0.0
        return value

    return edit


def _mlp_off(units: Sequence[Units], layer: int, device: torch.device) -> Edit:
    rows = [row for row, found in enumerate(units) if Unit(layer, None) in found]
    index = torch.tensor(rows, device=device)

    def edit(value: Tensor, span: Span) -> Tensor:  # (rows, T, n_embd)
        return value.index_fill(0, index, 0.0)

    return edit
