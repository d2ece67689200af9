"""What every patching scan begins with: both prompts run once, and the logit difference at their ends."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from nanochat.capture.sites import FINAL
from nanochat.errors import SettingInvalidError
from nanochat.gpt import GPT
from nanochat.why.patching.pair import Pair
from nanochat.why.patching.resuming import RESUMED, Kept, Point, keep, logits_of

What = Literal["heads", "attention", "mlp", "residual", "paths"]
# The site whose values are put in, and the point of the stream from which the text is then run on.
PLACES: dict[What, tuple[str, Point]] = {
    "heads": ("z", "attention"),
    "attention": ("post_attn", "attention"),
    "mlp": ("post_mlp", "mlp"),
    "residual": ("residual", "entering"),
    "paths": ("z", "attention"),
}
BY_HEAD = ("heads", "paths")  # the others are by position
SMALLEST = 1e-5  # a smaller difference between the prompts is rounding

Cell = tuple[int, int]  # a layer, and a head or a position


@dataclass(frozen=True)
class Runs:
    """Both prompts' forwards, and the logit differences after them without a patch."""

    pair: Pair
    clean: Kept
    corrupted: Kept
    clean_end: float
    corrupted_end: float

    def share(self, difference: float) -> float:
        """A logit difference as an effect: 0 as corrupted, 1 as clean."""
        return (difference - self.corrupted_end) / (self.clean_end - self.corrupted_end)


@torch.inference_mode()
def run_both(model: GPT, pair: Pair, what: What, cancel: threading.Event | None = None) -> Runs:
    """The forwards that a scan needs. Raises SettingInvalidError: the prompts' logit differences are the same."""
    site = PLACES[what][0]
    clean = keep(model, pair.clean, [site], cancel=cancel)
    sites = dict.fromkeys((*RESUMED, site))
    corrupted = keep(model, pair.corrupted, sites, cancel=cancel)
    one, other = (float(difference_of(model, kept.values[FINAL, 0], pair)) for kept in (clean, corrupted))
    if abs(one - other) < SMALLEST:
        raise SettingInvalidError(
            f"The two tokens' logits are as far apart after the corrupted prompt as after the clean one ({one:.6g}): "
            "there is nothing to carry over. Choose prompts after which they differ."
        )
    return Runs(pair, clean, corrupted, one, other)


def difference_of(model: GPT, final: Tensor, pair: Pair) -> Tensor:
    """The answer's logit minus the other's, (B,) float64, of what the final norm reads, (B, n_embd)."""
    logits = logits_of(model, final, [pair.answer, pair.against]).double()
    return logits[:, 0] - logits[:, 1]
