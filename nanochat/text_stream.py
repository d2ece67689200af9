"""The text of tokens as they come, in whole characters."""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nanochat.tokenizer import RustBPETokenizer

SPELLED_BYTE = re.compile(rb"\\x([89a-f][0-9a-f])")  # as RustBPETokenizer.token_text spells what is not UTF-8


class TextStream:
    """What each token adds to the text: a character of several tokens comes with its last one.

    Put together it is the response: without the token that ends it, and with U+FFFD for what is no character.
    """

    def __init__(self, tokenizer: RustBPETokenizer, end_tokens: Collection[int]):
        self.tokenizer, self.end_tokens = tokenizer, end_tokens
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, token: int, *, last: bool = False) -> str:
        """A token's text; with what is left of a character where it is the last."""
        if token in self.end_tokens:
            return self._decoder.decode(b"", final=True)
        return self._decoder.decode(self.tokenizer.decode_single_token_bytes(token), final=last)


def whole_characters(token_texts: Sequence[str], response: str) -> list[str]:
    """A trace's token texts as they came: `TextStream`'s, where these make up the response, else as they are."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    spelled = [SPELLED_BYTE.sub(lambda match: bytes([int(match[1], 16)]), text.encode()) for text in token_texts]
    found = [decoder.decode(text, final=i == len(spelled) - 1) for i, text in enumerate(spelled)]
    return found if "".join(found) == response else list(token_texts)
