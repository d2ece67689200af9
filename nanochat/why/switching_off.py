"""Forwards of one text in several rows, in each of which other heads and MLPs are switched off."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nanochat.attention import Span
from nanochat.cancelling import check_cancel
from nanochat.capture.tap import Edit, SiteLayer
from nanochat.gpt import GPT
from nanochat.gpt_config import GPTConfig
from nanochat.kv_cache import KVCache
from nanochat.why.reading import CHUNK, handed_out

CACHED_AT_ONCE = 8192  # tokens that the caches of all rows hold together, about: bounds memory


@dataclass(frozen=True, order=True)
class Unit:
    """What can be switched off: a head of a layer, or, where `head` is None, its MLP."""

    layer: int
    head: int | None


Units = tuple[Unit, ...]


def heads_of(config: GPTConfig) -> list[Unit]:
    """Every head, in the order of the model."""
    return [Unit(layer, head) for layer in range(config.n_layer) for head in range(config.n_head)]


def units_of(config: GPTConfig, layers: Sequence[int]) -> list[Unit]:
    """Every head and every MLP of some layers, in the order of the model."""
    return [Unit(layer, head) for layer in layers for head in (*range(config.n_head), None)]


def rows_at_once(tokens: int) -> int:
    """How many rows of so long a text are run together."""
    return max(1, CACHED_AT_ONCE // tokens)


def parts(units: Sequence[Units], tokens: int) -> Iterator[Sequence[Units]]:
    """The rows that are run together, one set of units a row."""
    step = rows_at_once(tokens)
    yield from (units[start : start + step] for start in range(0, len(units), step))


@torch.inference_mode()
def run_rows(
    model: GPT,
    tokens: Sequence[int],
    units: Sequence[Units],
    *,
    prefix: KVCache | None = None,
    read: Callable[[Tensor], Tensor] | None = None,
    on_progress: Callable[[int], None] | None = None,
    cancel: threading.Event | None = None,
) -> Tensor:
    """One text in as many rows as there are sets of units, those of each switched off in its own.

    Switched off is what adds nothing to the residual stream: a head whose columns of `c_proj` are zero, an MLP whose
    `c_proj` is.

    Args:
        prefix: a cache of what comes before the tokens, of one row, in which nothing was switched off.
        read: what to keep of the logits of every token, (rows, T, vocab) to (rows, T, ...), in pieces of T; None: the
            logits of the last token alone.
        on_progress: called with the number of rows times the tokens just run.

    Returns:
        (rows, 1, vocab) float32, or what was read, (rows, T, ...).

    Raises:
        CancelledError: `cancel` was set.
    """
    config, device, before = model.config, model.get_device(), 0 if prefix is None else prefix.get_pos()
    sizes = (config.n_kv_head, before + len(tokens), config.head_dim, config.n_layer)
    cache = KVCache(len(units), *sizes, device, model.compute_dtype)
    if prefix is not None and before:
        cache.prefill(prefix)
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


def prefix_of(model: GPT, tokens: Sequence[int], cancel: threading.Event | None = None) -> KVCache:
    """The cache of a text's beginning, of one row, with nothing switched off."""
    config = model.config
    sizes = (config.n_kv_head, max(1, len(tokens)), config.head_dim, config.n_layer)
    cache = KVCache(1, *sizes, model.get_device(), model.compute_dtype)
    cache.logits_wanted = "last"
    ids = torch.tensor([list(tokens)], dtype=torch.long, device=model.get_device())
    for chunk in ids.split(CHUNK, dim=1) if tokens else ():
        check_cancel(cancel)
        model(chunk, kv_cache=cache)
    return cache


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
