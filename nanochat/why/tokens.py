"""Tokens as people name them: by a number, or by a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nanochat.errors import SettingInvalidError
from nanochat.system.text import shortened

if TYPE_CHECKING:
    from nanochat.tokenizer import RustBPETokenizer

SHOWN = 60  # characters of a text that is no token


def token_of(tokenizer: RustBPETokenizer, name: int | str) -> int:
    """A token by its number, or by a text that is one. Raises SettingInvalidError: it is more than one, or none."""
    if isinstance(name, int):
        return name
    found = tokens_of(tokenizer, name)
    if len(found) == 1:
        return found[0]
    parts = ", ".join(repr(tokenizer.token_text(token)) for token in found[:8])
    raise SettingInvalidError(
        f"{shortened(name, SHOWN)!r} is {len(found)} tokens ({parts}): name one of them, or give a number. A word in a "
        "text mostly begins with a space."
    )


def tokens_of(tokenizer: RustBPETokenizer, text: str) -> list[int]:
    """A text's tokens. Raises SettingInvalidError: it is none."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise SettingInvalidError(f"The text has half a character at {error.start}: it is not valid Unicode.") from None
    found = tokenizer.encode(text)
    if not found:
        raise SettingInvalidError(f"{shortened(text, SHOWN)!r} is 0 tokens: give a text that is not empty.")
    return found
