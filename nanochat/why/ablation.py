"""The ablation scan: what the model would say without each of its heads and MLPs, each switched off alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nanochat.attention import Span, attention_weights
from nanochat.capture.tap import SiteLayer
from nanochat.common import without_autocast
from nanochat.errors import SettingInvalidError, non_finite_error
from nanochat.gpt import GPT
from nanochat.memory import memory_explained
from nanochat.model_turn import turn_of
from nanochat.why.checks import checked, checked_one, checked_text
from nanochat.why.patching.resuming import Kept
from nanochat.why.reading import read_forward
from nanochat.why.switching_off import parts, rows_at_once, run_from, units_of

LARGEST = 1 << 22  # tokens of a scan, those of all rows together; one that runs half of the layers is half a token
ADVICE = "ask for fewer layers, an earlier position, or use a device with more memory"
LOOKED = 3


@dataclass(frozen=True)
class Outcome:
    """What is foretold at the position.

    Attributes:
        logit: of the token asked about, after the softcap; where it is asked against another, the difference.
        probability: of the token asked about, at temperature 1; rank: 1, the likeliest.
        top: token ids and their probabilities, the likeliest first.
    """

    logit: float
    probability: float
    rank: int
    top: list[tuple[int, float]]


@dataclass(frozen=True)
class Effect:
    """What one head or MLP does for the answer.

    Attributes:
        head: None: the layer's MLP.
        everywhere: switched off at all positions.
        here: at the position alone that foretells. Where this does little and `everywhere` much, it did its work at
            earlier tokens.
        looked: of a head, the positions that it read most from at the position, and their weights.
    """

    layer: int
    head: int | None
    everywhere: Outcome
    here: Outcome
    looked: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True)
class AblationScan:
    """The token asked about as the model has it, and the effect of each head and MLP, in the order of the model."""

    position: int
    token: int
    against: int | None
    baseline: Outcome
    effects: list[Effect]


@torch.inference_mode()
def ablation_scan(
    model: GPT,
    tokens: Sequence[int],
    position: int,
    token: int | None = None,
    against: int | None = None,
    *,
    layers: Sequence[int] | None = None,
    top: int = 5,
    on_progress: Callable[[float], None] | None = None,
    cancel: threading.Event | None = None,
) -> AblationScan:
    """Switch off each head and each MLP alone, and see what becomes of the answer: zero ablation.

    It tells what the answer hangs on, whether or not that wrote it. Two that can do each other's work may both look
    needless; zero is nothing that the rest of the model expects (see "mean" in `nanochat.capture.interventions`).

    Args:
        tokens: the text's ids; nothing after the position is looked at.
        position: what stands there foretells the token at the next one.
        token: the one asked about; None: the likeliest.
        against: the logit is the difference to this one's.
        layers: their heads and MLPs alone; None: all.
        top: so many of the likeliest tokens of each outcome.
        on_progress: called with the share of the work that is done.

    Raises:
        SettingInvalidError: a position, layer or token that there is not; a scan too large; not enough memory.
        NonFiniteError: the logits are not finite. CancelledError: `cancel` was set.
    """
    config = model.config
    position = check_scan(model, tokens, position, layers)
    asked = [None if one is None else checked_one("token", one, config.vocab_size) for one in (token, against)]
    top = checked_one("top", top, config.vocab_size + 1)
    if not top:
        raise SettingInvalidError("top 0: give at least 1.")
    chosen = range(config.n_layer) if layers is None else checked("layer", layers, config.n_layer)
    text, units = list(tokens[: position + 1]), units_of(config, chosen)
    device, done = model.get_device(), _Done(_layers_run(model, chosen) * (len(text) + 1), on_progress)
    with turn_of(model).held(cancel), memory_explained(device, "this scan", ADVICE), without_autocast(device):
        own, kept, looked = _own(model, text, chosen, cancel)
        answer = int(own.argmax()) if asked[0] is None else asked[0]
        tell = _Teller(answer, asked[1], min(top, config.vocab_size), position)
        everywhere, here = (
            [
                tell(logits)
                for part in parts(units, len(text))
                for logits in run_from(model, kept, part, here=alone, on_progress=done, cancel=cancel)
            ]
            for alone in (False, True)
        )
    effects = [
        Effect(unit.layer, unit.head, of_all, of_one, looked.get((unit.layer, unit.head), []))
        for unit, of_all, of_one in zip(units, everywhere, here, strict=True)
    ]
    return AblationScan(position, answer, asked[1], tell(own), effects)


def check_scan(model: GPT, tokens: Sequence[int], position: int, layers: Sequence[int] | None) -> int:
    """The position, if a scan of it can be made. Raises SettingInvalidError."""
    checked_text(tokens, model.config)
    position = checked_one("position", position, len(tokens))
    if layers is not None and not layers:
        raise SettingInvalidError("There is no layer to switch off anything in: name one, or leave them out for all.")
    count = scan_tokens(model, position, layers)
    if count > LARGEST:
        raise SettingInvalidError(
            f"That is {count:,} tokens to run, and a scan may have {LARGEST:,}: ask for fewer layers or an earlier "
            "position."
        )
    return position


def scan_tokens(model: GPT, position: int, layers: Sequence[int] | None) -> int:
    """The tokens that a scan runs through all layers, or as many through a part of them, all rows together.

    Raises SettingInvalidError: a layer that there is not.
    """
    depth = model.config.n_layer
    chosen = range(depth) if layers is None else checked("layer", layers, depth)
    return -(-_layers_run(model, chosen) * (position + 2) // depth) + position + 1


def _layers_run(model: GPT, layers: Sequence[int]) -> int:
    """How many layers all rows of a scan go through together."""
    return sum(model.config.n_layer - unit.layer for unit in units_of(model.config, layers))


def scan_bytes(model: GPT, position: int, layers: Sequence[int] | None) -> int:
    """The memory that it takes beside the model, about.

    The text's stream, its keys and values twice, those of the rows, and their logits.
    """
    config, size = model.config, model.compute_dtype.itemsize
    chosen = config.n_layer if layers is None else len(set(layers))
    rows = min(rows_at_once(position + 1), chosen * (config.n_head + 1))
    cached = 2 * config.n_layer * config.n_kv_head * config.head_dim * size * (position + 1)
    stream = config.n_layer * config.n_embd * size * (position + 1)
    return (rows + 2) * cached + stream + rows * config.vocab_size * 24


class _Done:
    """How far a scan has come."""

    def __init__(self, whole: int, on_progress: Callable[[float], None] | None):
        self.whole, self.on_progress, self.tokens = whole, on_progress, 0

    def __call__(self, tokens: int) -> None:
        self.tokens += tokens
        if self.on_progress is not None:
            self.on_progress(self.tokens / self.whole)


def _own(
    model: GPT, text: list[int], layers: Sequence[int], cancel: threading.Event | None
) -> tuple[Tensor, Kept, dict[tuple[int, int | None], list[tuple[int, float]]]]:
    """The model's own logits (vocab,) at the end of a text, its forward, and where each head looks from there."""
    last, depth, device = len(text) - 1, model.config.n_layer, model.get_device()
    whole: dict[SiteLayer, int | None] = {
        (site, layer): None for layer in range(min(layers), depth) for site in ("residual", "k", "v")
    }
    whole |= {("token_embeddings", 0): None}
    if model.era.smear:
        whole |= {(site, depth // 2): None for site in ("residual", "post_attn", "post_mlp")}
    reading = read_forward(model, text, [last], {("q", layer) for layer in layers}, whole, cancel=cancel)
    span, looked = Span([last], 1, device), {}
    for layer in layers:
        q, k = reading.rows["q", layer][None], reading.whole["k", layer][None]
        weights = attention_weights(q, k, span, model.transformer.h[layer].attn.window)[0, :, 0]  # (H, S)
        shares, places = weights.topk(min(LOOKED, len(text)), dim=-1)
        for head, found in enumerate(zip(places.tolist(), shares.tolist(), strict=True)):
            looked[layer, head] = [pair for pair in zip(*found, strict=True) if pair[1] > 0]
    return reading.logits[0], Kept(torch.tensor([text], device=device), reading.whole), looked


class _Teller:
    """Makes outcomes of logits (vocab,): of the token asked about, against another."""

    def __init__(self, token: int, against: int | None, top: int, position: int):
        self.token, self.against, self.top, self.position = token, against, top, position

    def __call__(self, logits: Tensor) -> Outcome:
        if not logits.isfinite().all():
            raise non_finite_error(self.position)
        shares = logits.double().log_softmax(-1)
        best, ids = shares.topk(self.top)
        logit = float(logits[self.token]) - (0.0 if self.against is None else float(logits[self.against]))
        rank = int((logits > logits[self.token]).sum()) + 1
        likeliest = list(zip(ids.tolist(), best.exp().tolist(), strict=True))
        return Outcome(logit, float(shares[self.token].exp()), rank, likeliest)
