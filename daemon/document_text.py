"""The text of an open document: lines as LSP counts them, edits put in, columns in the client's units. Pure."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

LINE_ENDS = "\r\n"
Place = tuple[int, int]  # line and character, both from 0

# Editors count in units of UTF-16, and may insert or remove half of a character that takes two.
_HALF = re.compile("[\ud800-\udfff]")
_TWO_HALVES = re.compile("[\ud800-\udbff][\udc00-\udfff]")

# By position encoding: an encoding in which each unit takes the same number of bytes, and that number.
ENCODINGS: dict[str, tuple[str, int]] = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}


def split_lines(text: str) -> list[str]:
    r"""A text's lines with their ends, which are \n, \r\n and \r alone; the last one has none, and may be empty."""
    lines = list(io.StringIO(text, newline=""))
    if not lines or lines[-1].endswith(tuple(LINE_ENDS)):
        lines.append("")
    return lines


def units_before(line: str, character: int, encoding: str) -> int:
    """The column in the client's units of a character of a line."""
    if line.isascii():
        return character
    codec, size = ENCODINGS[encoding]
    return len(line[:character].encode(codec)) // size


def character_at(line: str, units: int, encoding: str) -> int:
    """The character at a column that is given in the client's units; past the line's end it is the end."""
    content = line.rstrip(LINE_ENDS)
    if line.isascii():
        return min(units, len(content))
    codec, size = ENCODINGS[encoding]
    before = content.encode(codec, "surrogatepass")[: units * size]
    return len(before.decode(codec, "surrogatepass" if _HALF.search(line) else "ignore"))


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


def replace(lines: list[str], start: Place, end: Place, text: str) -> None:
    """Put a text in the place of another, at the cost of the lines that change."""
    (low, first), (high, last) = sorted((start, end))
    before, after = lines[low][:first], lines[high][last:]
    if not before and low and lines[low - 1].endswith("\r"):  # a \n put behind it would make one line end of the two
        low -= 1
        before = lines[low]
    middle = split_lines(joined(before + text + after))
    if high + 1 < len(lines):
        middle.pop()  # empty: what comes after it is there already
    lines[low : high + 1] = middle


class OpenDocument:
    """A document that an editor has open, as it is on the screen.

    Args:
        language: what it is, as `language_of` has it.
        version: the editor's count of its changes.
    """

    def __init__(self, uri: str, language: str, text: str, version: int | None):
        self.uri, self.language, self.version = uri, language, version
        self.lines = split_lines(text)
        self.reading: tuple[int, Any] | None = None  # of which revision, and the future of what is in it
        self.revision = 0  # our own count: what was worked out of one revision is not true of another

    def change(self, change: Any, version: int | None, encoding: str) -> None:
        """Put one of LSP's changes in: of a range, or of the whole text."""
        span = getattr(change, "range", None)
        if span is None:
            self.lines = split_lines(change.text)
        else:
            last, first = sorted((span.start, span.end), key=lambda at: (at.line, at.character), reverse=True)
            line, column = self._place(last, encoding)
            size = len(self.lines[line])
            start = self._place(first, encoding)
            column += len(self.lines[line]) - size  # a character that was parted before it
            replace(self.lines, start, (line, column), change.text)
        self.version = version
        self.revision += 1

    def _place(self, position: Any, encoding: str) -> Place:
        """As `place_in`; a character that the position is in the middle of is parted in two halves."""
        line, column = place_in(self.lines, position, encoding)
        text = self.lines[line]
        if encoding != "utf-16" or text.isascii() or position.line > line:
            return line, column
        before = text.rstrip(LINE_ENDS).encode("utf-16-le", "surrogatepass")[: 2 * position.character]
        cut = before.decode("utf-16-le", "surrogatepass")
        if not text.startswith(cut):
            column = len(cut) - 1
            high, low = (chr(int.from_bytes(unit, "little")) for unit in _units(text[column]))
            self.lines[line] = text[:column] + high + low + text[column + 1 :]
        return line, len(cut)


def _units(character: str) -> tuple[bytes, bytes]:
    pair = character.encode("utf-16-le")
    return pair[:2], pair[2:]
