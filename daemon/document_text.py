"""The text of an open document: lines as LSP counts them, and columns in the client's units. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

LINE_ENDS = "\r\n"
Place = tuple[int, int]  # line and character, both from 0

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
