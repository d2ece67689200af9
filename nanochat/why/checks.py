"""What a question may ask of: positions, layers and tokens that are there. All raise SettingInvalidError."""

from __future__ import annotations

from collections.abc import Sequence

from nanochat.errors import SettingInvalidError
from nanochat.gpt_config import GPTConfig


def checked(kind: str, numbers: Sequence[int], count: int) -> list[int]:
    """Whole numbers from 0 to count - 1, each once, ascending; `kind`: what they number, such as "position"."""
    return sorted({checked_one(kind, number, count) for number in numbers})


def checked_one(kind: str, number: int, count: int) -> int:
    """One of them."""
    if isinstance(number, bool) or not isinstance(number, int):
        raise SettingInvalidError(f"{kind} {number!r}: give a whole number.")
    if not 0 <= number < count:
        raise SettingInvalidError(f"There is no {kind} {number}: there are 0 to {count - 1}.")
    return number


def checked_text(tokens: Sequence[int], config: GPTConfig) -> None:
    """A text that the model can run."""
    if not tokens:
        raise SettingInvalidError("There is no token to read: give at least one.")
    for token in tokens:
        checked_one("token", token, config.vocab_size)
    if len(tokens) > config.max_positions:
        raise SettingInvalidError(
            f"The text has {len(tokens):,} tokens and the model has positions for {config.max_positions:,}: leave out "
            "the last of them."
        )
