"""Path patching: what one head gives to another directly, all else that the other reads being as corrupted."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from nanochat.attention import Span, attend
from nanochat.cancelling import check_cancel
from nanochat.errors import SettingInvalidError
from nanochat.gpt import GPT, norm
from nanochat.gpt_config import GPTConfig
from nanochat.why.checks import checked_one
from nanochat.why.patching.exact import TOKENS_AT_ONCE
from nanochat.why.patching.resuming import run_on
from nanochat.why.patching.runs import Cell, Runs, difference_of

Input = Literal["q", "k", "v"]


@dataclass(frozen=True)
class Receiver:
    """The head that reads, and by what: its queries, its keys or its values."""

    layer: int
    head: int
    input: Input


def checked_receiver(receiver: Receiver | None, config: GPTConfig) -> Receiver:
    """One that there is, with heads before it. Raises SettingInvalidError."""
    if receiver is None:
        raise SettingInvalidError("Say which head the paths lead to: its layer, its head, and q, k or v (receiver).")
    checked_one("layer", receiver.layer, config.n_layer)
    checked_one("head", receiver.head, config.n_head)
    if receiver.input not in get_args(Input):
        raise SettingInvalidError(f"A head reads by q, k or v, not by {receiver.input!r}.")
    if receiver.layer == 0:
        raise SettingInvalidError("No head comes before layer 0: choose a receiver in a later layer.")
    return receiver


@torch.inference_mode()
def path_effects(
    model: GPT,
    runs: Runs,
    senders: Sequence[Cell],
    receiver: Receiver,
    on_progress: Callable[[int, int], None] | None = None,
    cancel: threading.Event | None = None,
) -> dict[Cell, float]:
    """The effect of each sender (layer, head) on the answer by its direct path to the receiver.

    The receiver's queries, keys or values are computed from the corrupted stream with what the sender writes after the
    clean prompt in the place of what it writes after the corrupted one; no layer between them sees that. What the
    receiver then writes is read by everything after it (Wang et al. 2022, "Interpretability in the Wild").
    """
    found: dict[Cell, float] = {}
    at_once = max(1, TOKENS_AT_ONCE // runs.pair.length)
    for start in range(0, len(senders), at_once):
        check_cancel(cancel)
        batch = senders[start : start + at_once]
        x = _receiving(
            model, runs, torch.stack([_sent(model, runs, sender, receiver.layer) for sender in batch]), receiver
        )
        joining = {receiver.layer: x[:, runs.pair.first_difference :]}
        differences = difference_of(model, run_on(model, joining, "attention", runs.corrupted), runs.pair)
        found |= {cell: runs.share(one) for cell, one in zip(batch, differences.tolist(), strict=True)}
        if on_progress is not None:
            on_progress(len(found), len(senders))
    return found


def _sent(model: GPT, runs: Runs, sender: Cell, to: int) -> Tensor:
    """By how much a head's output, as a later layer reads it, is another after the clean prompt: (T, n_embd)."""
    layer, head = sender
    change = runs.clean.values["z", layer][:, head] - runs.corrupted.values["z", layer][:, head]  # (T, D)
    attention = model.transformer.h[layer].attn
    weight = attention.c_proj.weight.view(-1, attention.n_head, attention.head_dim)[:, head]  # (n_embd, D)
    carried = math.prod(model.resid_lambdas[layer + 1 : to + 1].tolist()) if model.era.lambdas else 1.0
    return change @ weight.T * carried


def _receiving(model: GPT, runs: Runs, sent: Tensor, receiver: Receiver) -> Tensor:
    """The stream after the receiver's attention, (B, T, n_embd): as corrupted, but for what that head writes."""
    layer, head, kept = receiver.layer, receiver.head, runs.corrupted
    attention = model.transformer.h[layer].attn
    corrupted = kept.stream(layer, "entering")
    read = torch.cat([corrupted[None], corrupted + sent])  # the first row is as corrupted
    B, T, _ = read.shape
    span = Span([0] * B, T, read.device)
    ve = model.value_embedding(layer, kept.ids)
    q, k, v = attention.projected(norm(read), None if ve is None else ve.expand(B, -1, -1), model.rotary_at(span))
    group = head * attention.n_kv_head // attention.n_head  # the keys and values that it shares with other heads
    parts = {"q": q[:, :, [head]], "k": k[:, :, [group]], "v": v[:, :, [group]]}
    parts = {name: part if name == receiver.input else part[:1].expand_as(part) for name, part in parts.items()}
    mixed, _ = attend(parts["q"], parts["k"], parts["v"], span, attention.window)  # (B, T, 1, D)
    z = kept.values["z", layer].expand(B - 1, -1, -1, -1).clone()
    z[:, :, head] = mixed[1:, :, 0]
    return corrupted + attention.c_proj(z.flatten(2))
