"""Characters that several tokens share: which tokens hold the bytes of one character, and which character it is."""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nanochat.system.text import one_line

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_BYTE = re.compile(r"\\x([89a-f][0-9a-f])")


class Place(Protocol):
    """What a label needs of a piece."""

    @property
    def text(self) -> str: ...
    @property
    def index(self) -> int: ...


@dataclass(frozen=True)
class Piece:
    """A token's place among those that share a character.

    Args:
        text: of all of them together.
        index: which of them it is, from 0.
        count: how many they are.
    """

    text: str
    index: int
    count: int


def pieces(texts: Sequence[str]) -> list[Piece | None]:
    """Each token's place among those that share a character with it; None for one that holds whole characters alone.

    Args:
        texts: of the tokens, as traces have them: bytes that are not UTF-8 by themselves are `\\xNN`.

    Returns:
        An entry a token. Bytes that are part of no character stay alone.
    """
    found: list[Piece | None] = [None] * len(texts)
    decoder = codecs.getincrementaldecoder("utf-8")()
    first, shared = 0, ""
    for position, text in enumerate(texts):
        if not shared and not decoder.getstate()[0]:
            first = position
        raw = _bytes_of(text)
        try:
            shared += decoder.decode(raw)
        except UnicodeDecodeError:  # what was begun is no character
            decoder.reset()
            first, shared = position, _begun(decoder, raw)
        if decoder.getstate()[0]:
            continue
        if position > first:
            count = position - first + 1
            found[first : position + 1] = [Piece(shared, index, count) for index in range(count)]
        shared = ""
    return found


def label(text: str, piece: Place | None) -> str:
    """A token for a table or an axis: the first of the tokens that share é is é₁."""
    return one_line(text) if piece is None else one_line(piece.text) + str(piece.index + 1).translate(_SUBSCRIPTS)


def labels(texts: Sequence[str]) -> list[str]:
    """The labels of all tokens of a text."""
    return [label(text, piece) for text, piece in zip(texts, pieces(texts), strict=True)]


def _begun(decoder: codecs.IncrementalDecoder, raw: bytes) -> str:
    """What a token holds before the character that it begins; the decoder is left inside that character."""
    try:
        return decoder.decode(raw)
    except UnicodeDecodeError:
        decoder.reset()
        return ""


def _bytes_of(text: str) -> bytes:
    parts = _BYTE.split(text)  # text, byte, text, byte, ..., text
    plain = [part.encode("utf-8", "replace") for part in parts[::2]]
    escaped = [bytes.fromhex(part) for part in parts[1::2]]
    return b"".join(plain[index] + (escaped[index] if index < len(escaped) else b"") for index in range(len(plain)))
