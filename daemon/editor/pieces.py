"""A text that is edited, kept in pieces: an edit costs the pieces it touches, and not the whole text. Pure."""

from __future__ import annotations

import io
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate, islice

from daemon.editor.text import character_at, joined, parted, units_of
from daemon.wire.decoding import whole_text

SIZE = 1 << 12  # characters of a piece; twice as many at most
LINE_END = re.compile(r"[\r\n]")
Place = tuple[int, int]  # a piece, and a character of it


class Pieces:
    r"""The text as it is now, in LSP's terms; no piece ends between \r and \n, or between halves of a character.

    Where positions are counted in units of UTF-16 it is kept in these: an editor may insert and remove half of a
    character, and what has come together is one again when it is read.

    Args:
        encoding: what positions are counted in.
    """

    def __init__(self, text: str, encoding: str):
        self._takes: Callable[[str], str] = parted
        self._units_of: Callable[[str], int] = len
        self._character_at: Callable[[str, int], int] = _unit
        if encoding != "utf-16":
            self._takes, self._units_of = whole_text, partial(units_of, encoding=encoding)
            self._character_at = partial(character_at, encoding=encoding)
        self._texts: list[str] = []
        self._line_ends: list[int] = []  # of each piece
        self._units: list[int] = []
        text = self._takes(text)
        self._put(0, 0, text)
        self.size = len(text)

    def texts(self) -> Sequence[str]:
        """The text, in pieces; U+FFFD for each half of a character that is alone."""
        return tuple(whole_text(joined(text)) for text in self._texts)

    def replace(self, start: tuple[int, int], end: tuple[int, int], text: str) -> None:
        """Put a text in the place of another; places are lines and columns as the client counts them."""
        text = self._takes(text)
        (low, first), (high, last) = sorted((self._place(*start), self._place(*end)))
        before, after = self._texts[low][:first], self._texts[high][last:]
        self.size += len(text) - (sum(map(len, self._texts[low:high])) - first + last)
        if low and (_goes_on(self._texts[low - 1]) or len(before) + len(text) + len(after) < SIZE // 2):
            low -= 1  # it may be one with what is put behind it; and small pieces must not pile up
            before = self._texts[low] + before
        if high + 1 < len(self._texts) and _is_rest(self._texts[high + 1]):
            high += 1
            after += self._texts[high]
        self._put(low, high + 1, before + text + after)

    def _put(self, low: int, high: int, text: str) -> None:
        """Put a text in the place of some pieces."""
        texts = list(_cut(text))
        if not texts and high - low == len(self._texts):
            texts = [""]
        self._texts[low:high] = texts
        self._line_ends[low:high] = [part.count("\n") + part.count("\r") - part.count("\r\n") for part in texts]
        self._units[low:high] = [self._units_of(part) for part in texts]

    def _place(self, line: int, units: int) -> Place:
        """Where a position is; past a line's end it is the end of it, past the last line that of the text."""
        line_ends = list(accumulate(self._line_ends))
        index = bisect_left(line_ends, line)  # where the line before ends
        if index == len(self._texts):
            return index - 1, len(self._texts[-1])
        passed = line_ends[index - 1] if index else 0
        start = sum(map(len, islice(_lines_in(self._texts[index]), line - passed)))
        last = min(bisect_right(line_ends, line), len(self._texts) - 1)  # where the line ends
        size = self._units_of(self._texts[index][start:])
        if index < last and units > size:
            sizes = list(accumulate(self._units[index + 1 : last]))
            skipped = bisect_left(sizes, units - size)
            units -= size + (sizes[skipped - 1] if skipped else 0)
            index, start = index + 1 + skipped, 0
        end = LINE_END.search(self._texts[index], start)
        rest = self._texts[index][start : end.start() if end else None]
        return index, start + self._character_at(rest, units)


def _unit(text: str, units: int) -> int:
    return min(units, len(text))


def _goes_on(text: str) -> bool:
    """Whether what comes next may be one with the end: a line end, or a character."""
    return text[-1:] == "\r" or "\ud800" <= text[-1:] <= "\udbff"


def _is_rest(text: str) -> bool:
    return text[:1] == "\n" or "\udc00" <= text[:1] <= "\udfff"


def _cut(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > 2 * SIZE:
        stop = start + SIZE
        stop += _goes_on(text[stop - 1]) and _is_rest(text[stop])
        yield text[start:stop]
        start = stop
    if start < len(text):
        yield text[start:]


def lines_of(texts: Sequence[str]) -> list[str]:
    r"""A text's lines with their ends, which are \n, \r\n and \r alone; the last one has none, and may be empty.

    Args:
        texts: the text in pieces, none of which ends between \r and \n. (As one it would be split in one go, and
            however long that took, no other thread of the process would run.)
    """
    lines: list[str] = []
    unfinished: list[str] = []
    for text in texts:
        for line in _lines_in(text):
            ended = line[-1] in "\r\n"
            if unfinished or not ended:
                unfinished.append(line)
            else:
                lines.append(line)
            if unfinished and ended:
                lines.append("".join(unfinished))
                unfinished = []
    lines.append("".join(unfinished))
    return lines


def _lines_in(text: str) -> Iterator[str]:
    return io.StringIO(text, newline="")
