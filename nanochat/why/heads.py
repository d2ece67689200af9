"""What every head of a model does by habit: its roles, found on random tokens that repeat, whatever a text says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nanochat.analysis.attention import HEAD_METRICS  # which fills it
from nanochat.analysis.registry import Role
from nanochat.attention import Span, attention_weights
from nanochat.cancelling import check_cancel
from nanochat.capture.tap import Edit, SiteLayer
from nanochat.errors import SettingInvalidError
from nanochat.gpt import GPT
from nanochat.memory import memory_explained
from nanochat.model_turn import turn_of
from nanochat.tokenizer import RustBPETokenizer
from nanochat.why.reading import handed_out
from nanochat.why.switching_off import Units, heads_of, parts, run_rows

REPEATED, DRAWS, SEED = 25, 10, 0
ADVICE = "use a device with more memory"
CURRENT = Role("looks at the token itself", at=0.3)
SCORED = ("previous_token", "induction", "duplicate_token", "sink")
ROLES: dict[str, Role] = {key: role for key in SCORED if (role := HEAD_METRICS[key].role)} | {"current_token": CURRENT}


@dataclass(frozen=True)
class HeadHabit:
    """What one head does on random tokens that repeat.

    Attributes:
        scores: by role, the mean weight where the role looks, 0 to 1.
        accuracy: of the repeated tokens, the share that the model foretells without this head; None: not tried.
    """

    layer: int
    head: int
    scores: dict[str, float]
    accuracy: float | None = None

    @property
    def roles(self) -> list[str]:
        """The roles that it has, the strongest first."""
        return sorted((key for key in ROLES if self.scores[key] >= ROLES[key].at), key=lambda key: -self.scores[key])


@dataclass(frozen=True)
class HeadScan:
    """Every head in the order of the model, and the share of repeated tokens that the whole model foretells."""

    accuracy: float
    heads: list[HeadHabit]


def repeated_texts(bos: int, ordinary: Sequence[int], max_positions: int) -> list[list[int]]:
    """DRAWS texts `<|bos|>` + r + r, r of REPEATED random ordinary tokens, fewer where the model has few positions.

    They are those of `nanochat.analysis.attention.model_head_scores`: always the same.

    Raises:
        SettingInvalidError: a model without room for two tokens twice.
    """
    length = min(REPEATED, (max_positions - 1) // 2)
    if length < 2:
        raise SettingInvalidError(f"The model has {max_positions} positions, and a repeated text needs 5.")
    random = np.random.default_rng(SEED)
    draws = [random.choice(ordinary, length, replace=len(ordinary) < length).tolist() for _ in range(DRAWS)]
    return [[bos, *drawn, *drawn] for drawn in draws]


def texts_for(model: GPT, tokenizer: RustBPETokenizer) -> list[list[int]]:
    """The repeated texts of a model and its tokenizer. Raises as `repeated_texts`."""
    ordinary = range(min(tokenizer.get_vocab_size() - len(tokenizer.get_special_tokens()), model.config.vocab_size))
    return repeated_texts(tokenizer.get_bos_token_id(), ordinary, model.config.max_positions)


@torch.inference_mode()
def scan_heads(
    model: GPT,
    texts: Sequence[Sequence[int]],
    *,
    ablate: bool = True,
    on_progress: Callable[[float], None] | None = None,
    cancel: threading.Event | None = None,
) -> HeadScan:
    """The roles of every head, and what the model foretells of the repeated tokens without it.

    The scores are means over the texts of the weight (Olsson et al. 2022; `docs/metrics.md`)

    - previous_token: on the position before;
    - induction: on the position after this token's copy, the whole diagonal at offset -(length of r - 1);
    - duplicate_token: on this token's copy, the diagonal at offset -(length of r);
    - current_token: on the position itself, the first left out;
    - sink: on position 0, over the rows that see it.

    A token counts as foretold where it is the likeliest; the first repeated one, which nothing announces, is left out.

    Args:
        texts: `repeated_texts`, all of one length.
        ablate: switch off each head too, at all positions, one by one: takes a forward of the texts for each.
        on_progress: called with the share of the work that is done.

    Raises:
        SettingInvalidError: not enough memory. CancelledError: `cancel` was set.
    """
    heads = heads_of(model.config)
    with turn_of(model).held(cancel), memory_explained(model.get_device(), "this scan", ADVICE):
        scores = _scores(model, texts, cancel)
        rows: list[Units] = [(), *((head,) for head in heads)] if ablate else [()]
        found = repeat_accuracy(model, texts, rows, on_progress=on_progress, cancel=cancel)
    without = found[1:] if ablate else [None] * len(heads)
    habits = [
        HeadHabit(unit.layer, unit.head or 0, {key: float(scores[key][unit.layer][unit.head]) for key in ROLES}, share)
        for unit, share in zip(heads, without, strict=True)
    ]
    return HeadScan(found[0], habits)


def repeat_accuracy(
    model: GPT,
    texts: Sequence[Sequence[int]],
    units: Sequence[Units],
    *,
    on_progress: Callable[[float], None] | None = None,
    cancel: threading.Event | None = None,
) -> list[float]:
    """The share of repeated tokens that are foretold, for each set of heads and MLPs switched off at all positions."""
    first = (len(texts[0]) + 1) // 2  # the first of the repeated tokens; what stands there announces the next
    hits, count = [0] * len(units), len(texts) * (len(texts[0]) - first - 1)
    for number, text in enumerate(texts):
        start = 0
        for part in parts(units, len(text)):
            check_cancel(cancel)
            said = run_rows(model, text, part, read=lambda logits: logits.argmax(-1), cancel=cancel)  # (rows, T)
            right = said[:, first:-1] == torch.tensor(list(text[first + 1 :]), device=said.device)
            for row, foretold in enumerate(right.sum(1).tolist(), start):
                hits[row] += foretold
            start += len(part)
            if on_progress is not None:
                on_progress((number + start / len(units)) / len(texts))
    return [hit / count for hit in hits]


def _scores(
    model: GPT, texts: Sequence[Sequence[int]], cancel: threading.Event | None
) -> Mapping[str, list[np.ndarray]]:
    """By role and layer, (H,) means over the texts."""
    check_cancel(cancel)
    ids = torch.tensor([list(text) for text in texts], device=model.get_device())
    queries: dict[int, Tensor] = {}
    found: dict[str, list[np.ndarray]] = {key: [] for key in ROLES}

    def scored(layer: int) -> Edit:
        window = model.transformer.h[layer].attn.window

        def edit(value: Tensor, span: Span) -> Tensor:  # keys (B, T, H_kv, D)
            weights = attention_weights(queries.pop(layer), value, span, window)  # (B, H, T, T)
            for key, score in _of_weights(weights.double(), window).items():
                found[key].append(score.cpu().numpy())
            return value

        return edit

    def kept(layer: int) -> Edit:
        def edit(value: Tensor, span: Span) -> Tensor:
            queries[layer] = value
            return value

        return edit

    layers = range(model.config.n_layer)
    edits: dict[SiteLayer, Edit] = {("q", layer): kept(layer) for layer in layers}
    edits |= {("k", layer): scored(layer) for layer in layers}
    with handed_out(model, edits):
        model(ids)
    return found


def _of_weights(weights: Tensor, window: int) -> dict[str, Tensor]:
    """(B, H, T, T) of texts that repeat, to (H,) a role."""
    length = (weights.size(-1) - 1) // 2

    def on_diagonal(offset: int, first: int = 0) -> Tensor:
        return weights.diagonal(offset, dim1=-2, dim2=-1)[..., first:].mean((0, -1))

    return {
        "previous_token": on_diagonal(-1),
        "induction": on_diagonal(1 - length),
        "duplicate_token": on_diagonal(-length),
        "sink": weights[..., : window + 1, 0].mean((0, -1)),
        "current_token": on_diagonal(0, first=1),
    }


def described(roles: Iterable[str]) -> str:
    """Roles in words, after "a head that"; "" where there are none."""
    return ", ".join(ROLES[key].words for key in roles)
