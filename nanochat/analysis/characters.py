"""Characters that several tokens share: which tokens hold the bytes of one character, and which character it is."""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nanochat.system.text import one_line

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_NAMES = {
    "\r": "CR", "\u00ad": "SHY", "\u061c": "ALM", "\u200b": "ZWSP", "\u200c": "ZWNJ", "\u200d": "ZWJ",
    "\u200e": "LRM", "\u200f": "RLM", "\u2028": "LS", "\u2029": "PS", "\u202a": "LRE", "\u202b": "RLE",
    "\u202c": "PDF", "\u202d": "LRO", "\u202e": "RLO", "\u2060": "WJ", "\u2066": "LRI", "\u2067": "RLI",
    "\u2068": "FSI", "\u2069": "PDI", "\ufe0e": "VS15", "\ufe0f": "VS16", "\ufeff": "BOM",
}  # fmt: skip
_PICTURE = "[\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]"
_IN_PICTURE = f"(?<={_PICTURE})[\ufe0e\ufe0f]|(?<=[\ufe0f\U0001f000-\U0001faff\u2640\u2642])\u200d(?={_PICTURE})"
_HIDDEN = re.compile(f"(?P<kept>{_IN_PICTURE})|[{''.join(_NAMES)}]")
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
    return named(text) if piece is None else named(piece.text) + str(piece.index + 1).translate(_SUBSCRIPTS)


def named(text: str) -> str:
    """A token on one line in which all can be seen: bytes that are no character as ⟨F0⟩, what has no width as ⟨ZWJ⟩."""
    seen = _HIDDEN.sub(lambda found: found[0] if found["kept"] else f"⟨{_NAMES[found[0]]}⟩", text)
    return one_line(_BYTE.sub(lambda byte: f"⟨{byte[1].upper()}⟩", seen))


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
