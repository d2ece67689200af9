"""Why did it say that: the lens, the anatomy and the ablation scan of one position, put to the answer given there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from nanochat.errors import SettingInvalidError
from nanochat.gpt import GPT
from nanochat.why.ablation import AblationScan, Effect, Outcome, ablation_scan, check_scan
from nanochat.why.anatomy import Attribution, attribute_logits
from nanochat.why.lens import Decided, logit_lens
from nanochat.why.switching_off import Unit, run_rows

TOP = 5
SURE = 0.9  # of a token that is no question
TOGETHER = 6  # heads that are switched off at once, at most, where none alone flips the answer
SHARES = {"lens": 0.1, "scan": 0.9}  # of the work, about


@dataclass(frozen=True)
class Flip:
    """The first change found that makes the model say something else.

    Attributes:
        units: heads, or an MLP, switched off together at all positions.
        top: what it says then, ids and probabilities, the likeliest first.
    """

    units: tuple[Unit, ...]
    top: list[tuple[int, float]]


@dataclass(frozen=True)
class Why:
    """What is known of one answer.

    Attributes:
        position: what stands there foretells the token at the next one.
        written: the token that stands at the next one; None: nothing does.
        chance: the written token's probability and rank.
        answer: the likeliest token, which all that follows is about.
        rival: the written token where it is another, else the second likeliest.
        points: how many points of the stream the lens reads.
        attribution: of the answer's logit, as its lead on the rival.
        scan: with each head and MLP switched off alone; its logits are the answer's lead on the rival.
        flip: None: none was found.
    """

    position: int
    written: int | None
    chance: tuple[float, int] | None
    answer: int
    rival: int
    decided: Decided
    attribution: Attribution
    scan: AblationScan
    flip: Flip | None

    @property
    def heads(self) -> list[Effect]:
        """The heads, the one first without which the answer is least likely."""
        found = [effect for effect in self.scan.effects if effect.head is not None]
        return sorted(found, key=lambda effect: effect.everywhere.probability)

    @property
    def mlps(self) -> list[Effect]:
        """The MLPs, in the same order."""
        found = [effect for effect in self.scan.effects if effect.head is None]
        return sorted(found, key=lambda effect: effect.everywhere.probability)

    def flips(self, outcome: Outcome) -> bool:
        """Whether something else is said."""
        return outcome.top[0][0] != self.answer


@torch.inference_mode()
def why(
    model: GPT,
    tokens: Sequence[int],
    position: int,
    *,
    on_progress: Callable[[float], None] | None = None,
    cancel: threading.Event | None = None,
) -> Why:
    """Ask everything that there is to ask about the answer at a position.

    Args:
        tokens: the text's ids.
        position: what stands there foretells the token at the next one.
        on_progress: called with the share of the work that is done, about.

    Raises: as `logit_lens`, `attribute_logits` and `ablation_scan`.
    """
    position = check_scan(model, tokens, position, None)
    written = tokens[position + 1] if position + 1 < len(tokens) else None
    lens = logit_lens(model, tokens[: position + 2], [position], top=TOP, cancel=cancel)
    output, (decided,) = lens.beliefs[-1][0], lens.decided
    if len(output.top) < len(("answer", "rival")):
        raise SettingInvalidError("The model's vocabulary has one token: there is nothing else that it could say.")
    answer, second = (token for token, _ in output.top[:2])
    rival = second if written in (None, answer) else written
    assert rival is not None
    chance = None if written is None else (output.chosen[0].probability, output.chosen[0].rank)
    attribution = attribute_logits(model, tokens, position, answer, rival, cancel=cancel)
    if on_progress is not None:
        on_progress(SHARES["lens"])
    scan = ablation_scan(
        model,
        tokens,
        position,
        answer,
        rival,
        top=TOP,
        on_progress=on_progress and (lambda share: on_progress(SHARES["lens"] + SHARES["scan"] * share)),
        cancel=cancel,
    )
    flip = _single_flip(scan) or _joint_flip(model, tokens[: position + 1], scan, cancel)
    return Why(position, written, chance, answer, rival, decided, attribution, scan, flip)


def most_asked(
    model: GPT, tokens: Sequence[int], positions: Sequence[int], cancel: threading.Event | None = None
) -> int:
    """Of some positions the one whose follower the model gave the least; the first, where it was sure of them all.

    Raises: as `logit_lens`; each of the positions has a follower.
    """
    lens = logit_lens(model, tokens, positions, layers=[], top=1, cancel=cancel)
    least = min(lens.beliefs[-1], key=lambda belief: belief.chosen[0].probability)
    return least.position if least.chosen[0].probability < SURE else min(positions)


def _single_flip(scan: AblationScan) -> Flip | None:
    """The head, or else the MLP, without which the answer falls furthest behind, where another wins without it."""
    flipping = [effect for effect in scan.effects if effect.everywhere.top[0][0] != scan.token]
    if not flipping:
        return None
    strongest = min(flipping, key=lambda effect: (effect.head is None, effect.everywhere.probability))
    return Flip((Unit(strongest.layer, strongest.head),), strongest.everywhere.top)


def _joint_flip(model: GPT, text: Sequence[int], scan: AblationScan, cancel: threading.Event | None) -> Flip | None:
    """The fewest of the strongest heads, taken in their order, that flip the answer together."""
    heads = [effect for effect in scan.effects if effect.head is not None]
    order = sorted(heads, key=lambda effect: effect.everywhere.probability)[:TOGETHER]
    units = [tuple(Unit(effect.layer, effect.head) for effect in order[:count]) for count in range(2, len(order) + 1)]
    for row, of_row in enumerate(units):
        logits = run_rows(model, text, [of_row], cancel=cancel)[0, -1]
        shares, ids = logits.double().softmax(-1).topk(min(TOP, logits.numel()))
        if int(ids[0]) != scan.token:
            return Flip(units[row], list(zip(ids.tolist(), shares.tolist(), strict=True)))
    return None
