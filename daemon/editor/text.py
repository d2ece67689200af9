"""The text of an open document: lines as LSP counts them, and columns in the client's units. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

LINE_ENDS = "\r\n"
Place = tuple[int, int]  # line and character, both from 0

# Editors count in units of UTF-16, and may insert or remove half of a character that takes two.
_TWO_HALVES = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_TWO_UNITS = re.compile("[\U00010000-\U0010ffff]")

SLICE = 1 << 14  # characters

# By position encoding: an encoding in which each unit takes the same number of bytes, and that number.
ENCODINGS: dict[str, tuple[str, int]] = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}


def units_of(text: str, encoding: str) -> int:
    """A text's length in the client's units."""
    if text.isascii():
        return len(text)
    codec, size = ENCODINGS[encoding]
    return len(text.encode(codec)) // size


def units_before(line: str, character: int, encoding: str) -> int:
    """The column in the client's units of a character of a line."""
    return character if line.isascii() else units_of(line[:character], encoding)


def character_at(line: str, units: int, encoding: str) -> int:
    """The character at a column that is given in the client's units; past the line's end it is the end."""
    content = line.rstrip(LINE_ENDS)
    if line.isascii():
        return min(units, len(content))
    codec, size = ENCODINGS[encoding]
    return len(content.encode(codec)[: units * size].decode(codec, "ignore"))


def parted(text: str) -> str:
    """A text with a character for each unit of UTF-16: two halves for what takes two."""
    if text.isascii():
        return text
    # In slices: while one is looked through, no other thread of the process runs.
    return "".join(_TWO_UNITS.sub(_halves, text[at : at + SLICE]) for at in range(0, len(text), SLICE))


def _halves(found: re.Match[str]) -> str:
    pair = found[0].encode("utf-16-le")
    return "".join(chr(int.from_bytes(pair[at : at + 2], "little")) for at in (0, 2))


def joined(text: str) -> str:
    """A text in which two halves of a character that have come together are that character."""
    if text.isascii() or not _TWO_HALVES.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def place_in(lines: Sequence[str], position: Any, encoding: str) -> Place:
    """A position of the client's, {line, character}, as a place that is there."""
    line: int = position.line
    if line >= len(lines):
        return len(lines) - 1, len(lines[-1])
    return line, character_at(lines[line], position.character, encoding)


def position_of(lines: Sequence[str], place: Place, encoding: str) -> dict[str, int]:
    """A place as a position of the client's."""
    line, character = place
    return {"line": line, "character": units_before(lines[line], character, encoding)}


def range_of(lines: Sequence[str], start: Place, end: Place, encoding: str) -> dict[str, dict[str, int]]:
    """Two places as a range of the client's."""
    return {"start": position_of(lines, start, encoding), "end": position_of(lines, end, encoding)}
