"""The model suite's rows about patching: a scan beside a loop with hooks, a whole forward for each head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from nanochat.checkpoint_manager import load_model
from nanochat.gpt import GPT
from nanochat.why.patching import Pair, pair_of, patch_scan
from scripts.benchmarks.measuring import Row, alternate, ratios, seconds_of
from scripts.benchmarks.workbench import Bench

TOKENS = 64


def patching(bench: Bench) -> Iterator[Row]:
    """Exact scans of all heads, and one by gradient, beside the loop and a single forward."""
    device, rounds = torch.device("cpu"), bench.settings.rounds
    built_in, _, _ = load_model("demo", device, phase="eval", dtype=torch.float32)
    for name, model, limit in (("", bench.ours.model, 1 / 2.5), ("built-in model, ", built_in, 1 / 5)):
        what = f"{name}{model.config.n_layer} layers × {model.config.n_embd}, {TOKENS} tokens"
        pair = _pair(model)
        scan, loop, gradient, forward = alternate(
            [
                partial(seconds_of, partial(patch_scan, model, pair)),
                partial(seconds_of, partial(looped, model, pair)),
                partial(seconds_of, partial(patch_scan, model, pair, method="gradient")),
                partial(seconds_of, partial(_logits, model, pair.clean)),
            ],
            rounds,
        )
        yield Row("patching", f"{what}: exact scan of heads / a forward a head", ratios(scan, loop), "×", limit)
        # Of the built-in model it is a matter of calls, not of sums: there is no target.
        most = None if name else 6.0
        yield Row("patching", f"{what}: gradient's scan of heads / a forward", ratios(gradient, forward), "×", most)


def _pair(model: GPT) -> Pair:
    """Two texts that part in the middle."""
    clean = [(7 * i + 3) % 256 for i in range(TOKENS)]
    corrupted = [*clean[: TOKENS // 2], 5, *clean[TOKENS // 2 + 1 :]]
    return pair_of(model.config, clean, corrupted, 1, 2)


@torch.inference_mode()
def _logits(model: GPT, tokens: Sequence[int]) -> Tensor:
    return model(torch.tensor([list(tokens)], device=model.get_device()))[0, -1]


def looped(model: GPT, pair: Pair) -> list[float]:
    """The effects as one would find them with hooks: every head patched in a forward of its own."""
    width, found = model.config.head_dim, []
    clean, kept = _logits_and_heads(model, pair.clean)
    ends = [float(row[pair.answer] - row[pair.against]) for row in (clean, _logits(model, pair.corrupted))]
    for block, values in zip(model.transformer.h, kept, strict=True):
        for head in range(model.config.n_head):

            def put(_: Any, args: tuple[Tensor], values: Tensor = values, head: int = head) -> tuple[Tensor]:
                changed = args[0].clone()
                changed[..., head * width : (head + 1) * width] = values[..., head * width : (head + 1) * width]
                return (changed,)

            handle = block.attn.c_proj.register_forward_pre_hook(put)
            try:
                row = _logits(model, pair.corrupted)
            finally:
                handle.remove()
            found.append((float(row[pair.answer] - row[pair.against]) - ends[1]) / (ends[0] - ends[1]))
    return found


def _logits_and_heads(model: GPT, tokens: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
    kept: list[Tensor] = []
    handles = [
        block.attn.c_proj.register_forward_pre_hook(lambda _, args: kept.append(args[0].clone()))
        for block in model.transformer.h
    ]
    try:
        return _logits(model, tokens), kept
    finally:
        for handle in handles:
            handle.remove()
