"""The two prompts of a patching scan: of the same length, and with two tokens that they are to part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.cells import cell_len

from nanochat.analysis.characters import named
from nanochat.errors import SettingInvalidError
from nanochat.gpt_config import GPTConfig
from nanochat.why.checks import checked_one, checked_text

SHOWN = 60  # lines of two prompts side by side


@dataclass(frozen=True)
class Pair:
    """Token ids of the clean prompt and the corrupted one, and the two tokens whose logits are compared after them."""

    clean: tuple[int, ...]
    corrupted: tuple[int, ...]
    answer: int
    against: int

    @property
    def length(self) -> int:
        """Tokens of either."""
        return len(self.clean)

    @property
    def first_difference(self) -> int:
        """The first position that is not the same in both: nothing differs before it, at any layer."""
        return next(i for i, (one, other) in enumerate(zip(self.clean, self.corrupted, strict=True)) if one != other)


def pair_of(
    config: GPTConfig,
    clean: Sequence[int],
    corrupted: Sequence[int],
    answer: int,
    against: int,
    text_of: Callable[[int], str] = "{}".format,
) -> Pair:
    """A pair that can be patched.

    Args:
        text_of: a token's text, for prompts that are not of the same length.

    Raises:
        SettingInvalidError: prompts of different length, the same prompts, tokens that there are not or that are one.
    """
    for prompt in (clean, corrupted):
        checked_text(prompt, config)
    for token in (answer, against):
        checked_one("token", token, config.vocab_size)
    if answer == against:
        raise SettingInvalidError("answer and against are the same token: name two, whose logits are to be compared.")
    if len(clean) != len(corrupted):
        raise SettingInvalidError(
            f"The clean prompt has {len(clean)} tokens and the corrupted one {len(corrupted)}. Side by side:\n"
            f"{side_by_side(clean, corrupted, text_of)}\n"
            "Make them of the same length: position by position, one takes the other's place."
        )
    if tuple(clean) == tuple(corrupted):
        raise SettingInvalidError("The clean prompt and the corrupted one are the same: change a word in one of them.")
    return Pair(tuple(clean), tuple(corrupted), answer, against)


def side_by_side(clean: Sequence[int], corrupted: Sequence[int], text_of: Callable[[int], str]) -> str:
    """Two token lists as lines: position, clean, corrupted, those that differ marked; from shortly before they do."""
    rows = list(zip_longest(clean, corrupted))
    parted = next((i for i, (one, other) in enumerate(rows) if one != other), 0)
    first = max(0, parted - 3) if len(rows) > SHOWN else 0
    shown = rows[first : first + SHOWN]
    texts = [["" if token is None else named(text_of(token)) for token in row] for row in shown]
    width = max(cell_len(left) for left, _ in texts)
    digits = len(str(first + len(shown)))
    lines = []
    for position, (left, right) in enumerate(texts, first):
        mark = "" if left == right else "  ≠"
        lines.append(f"  {position:>{digits}}  {left}{' ' * (width - cell_len(left))}  {right}{mark}".rstrip())
    return "\n".join([*lines, *(["  …"] if first + SHOWN < len(rows) else [])])
