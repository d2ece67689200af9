"""A text that is edited, kept in pieces: an edit costs the pieces it touches, and not the whole text. Pure."""

from __future__ import annotations

import io
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice

from daemon.document_text import character_at, units_of

SIZE = 1 << 12  # characters of a piece; twice as many at most
LINE_END = re.compile(r"[\r\n]")
Place = tuple[int, int]  # a piece, and a character of it


class Pieces:
    r"""The text as it is now, in LSP's terms; no piece ends between \r and \n.

    Args:
        encoding: what positions are counted in.
    """

    def __init__(self, text: str, encoding: str):
        self._encoding = encoding
        self._texts: list[str] = []
        self._line_ends: list[int] = []  # of each piece
        self._units: list[int] = []
        self._put(0, 0, text)
        self.size = len(text)

    def texts(self) -> Sequence[str]:
        """The text, in pieces."""
        return tuple(self._texts)

    def replace(self, start: tuple[int, int], end: tuple[int, int], text: str) -> None:
        """Put a text in the place of another; places are lines and columns as the client counts them."""
        (low, first), (high, last) = sorted((self._place(*start), self._place(*end)))
        before, after = self._texts[low][:first], self._texts[high][last:]
        self.size += len(text) - (sum(map(len, self._texts[low:high])) - first + last)
        if low and (self._texts[low - 1].endswith("\r") or len(before) + len(text) + len(after) < SIZE // 2):
            low -= 1  # a \r and the \n put behind it are one line end; and small pieces must not pile up
            before = self._texts[low] + before
        if high + 1 < len(self._texts) and self._texts[high + 1].startswith("\n"):
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
        self._units[low:high] = [units_of(part, self._encoding) for part in texts]

    def _place(self, line: int, units: int) -> Place:
        """Where a position is; past a line's end it is the end of it, past the last line that of the text."""
        line_ends = list(accumulate(self._line_ends))
        index = bisect_left(line_ends, line)  # where the line before ends
        if index == len(self._texts):
            return index - 1, len(self._texts[-1])
        passed = line_ends[index - 1] if index else 0
        start = sum(map(len, islice(_lines_in(self._texts[index]), line - passed)))
        last = min(bisect_right(line_ends, line), len(self._texts) - 1)  # where the line ends
        size = units_of(self._texts[index][start:], self._encoding)
        if index < last and units > size:
            sizes = list(accumulate(self._units[index + 1 : last]))
            skipped = bisect_left(sizes, units - size)
            units -= size + (sizes[skipped - 1] if skipped else 0)
            index, start = index + 1 + skipped, 0
        end = LINE_END.search(self._texts[index], start)
        rest = self._texts[index][start : end.start() if end else None]
        return index, start + character_at(rest, units, self._encoding)


def _cut(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > 2 * SIZE:
        stop = start + SIZE
        stop += text[stop - 1 : stop + 1] == "\r\n"
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
