"""A document that an editor has open: what it told of it is noted at once, and put in and read on another thread."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from daemon.editor.front_matter import Problem
from daemon.editor.lsp_values import Snapshot
from daemon.editor.pieces import Pieces, lines_of
from daemon.editor.prompt_parser import LARGEST, Parsed, parse

LARGEST_KEPT = 16 << 20  # characters of a document whose edits are followed, so that it may become smaller again
TOO_LARGE = "Prompts are looked for in documents of up to {:,} characters, and this one has {:,}: split it."
UNKNOWN = "What is in this document is not known to nanoscope any more ({}): close it and open it again."

Count = Annotated[int, msgspec.Meta(ge=0)]


class Position(msgspec.Struct, gc=False):
    """As LSP has it."""

    line: Count
    character: Count


class Range(msgspec.Struct, gc=False):
    """As LSP has it."""

    start: Position
    end: Position


class Change(msgspec.Struct, gc=False):
    """One of LSP's changes: of a range, or of the whole text."""

    text: str
    range: Range | None = None


@dataclass(frozen=True)
class _Lost:
    """Stands among the changes for one that was not taken."""

    why: str


class OpenDocument:
    """One open document; of the event loop's thread, but for `read`, of which one runs at a time.

    Args:
        language: what it is, as `language_of` has it.
        text: None where the editor sent one that was not taken.
        version: the editor's count of its changes.
        revision: the number of the message that it is as of, which no two states of a document share.
    """

    def __init__(self, uri: str, language: str, text: str | None, version: int | None, revision: int):
        self.uri, self.language = uri, language
        self.waiting_size = 0  # of what was told and is not put in yet, in characters
        self.reading: tuple[int, asyncio.Future[Snapshot]] | None = None  # of which revision
        self.snapshot: Snapshot | None = None  # as it was read last
        self.is_told_unknown = False  # the user was told that its text is not known
        self._waiting: list[Any] = []
        self._text: Pieces | None = None
        self._unknown = ""  # why there is no text
        self.take([] if text is None else [{"text": text}], version, revision)

    def take(self, changes: Any, version: int | None, revision: int) -> None:
        """Note LSP's changes, which may be of any form."""
        self._waiting.append(changes)
        self.waiting_size += sum(map(_size, changes)) if isinstance(changes, list) else 0
        self.version, self.revision = version, revision

    def lose(self, why: str, revision: int) -> None:
        """Note that a change was not taken: the text is not known until the editor sends the whole of it."""
        self._waiting.append(_Lost(why))
        self.revision = revision

    def untaken(self) -> tuple[list[Any], int | None, int]:
        """What `read` is to put in; it is forgotten here."""
        waiting, self._waiting, self.waiting_size = self._waiting, [], 0
        return waiting, self.version, self.revision

    def read(self, waiting: list[Any], version: int | None, revision: int, encoding: str) -> Snapshot:
        """The document with some changes put in, and what is in it."""
        try:
            self._put_in(waiting, encoding)
            lines, parsed = self._parsed()
        except BaseException:
            self._text, self._unknown = None, "a change could not be put in"
            raise
        unknown = UNKNOWN.format(self._unknown) if self._text is None else ""
        return Snapshot(self.uri, version, revision, lines, parsed, encoding, unknown)

    def _put_in(self, waiting: list[Any], encoding: str) -> None:
        for changes in waiting:
            if isinstance(changes, _Lost):
                self._text, self._unknown = None, changes.why
                continue
            try:
                converted = msgspec.convert(changes, list[Change])
            except (msgspec.ValidationError, UnicodeEncodeError):  # the latter: half a character where a number stands
                self._text, self._unknown = None, "the editor told of a change in a form that is not LSP's"
                continue
            for change in converted:
                self._change(change, encoding)

    def _change(self, change: Change, encoding: str) -> None:
        text, place = change.text, change.range
        if place is None:
            self._text = Pieces(text, encoding)
        elif self._text is not None:
            start, end = place.start, place.end
            self._text.replace((start.line, start.character), (end.line, end.character), text)
        if self._text is not None and self._text.size > LARGEST_KEPT:
            self._text, self._unknown = None, f"it had more than {LARGEST_KEPT:,} characters"

    def _parsed(self) -> tuple[list[str], Parsed]:
        if self._text is None:
            return [""], Parsed(problems=(Problem(0, 0, 0, UNKNOWN.format(self._unknown)),))
        if self._text.size > LARGEST:
            message = TOO_LARGE.format(LARGEST, self._text.size)
            return [""], Parsed(problems=(Problem(0, 0, 0, message, "warning"),))
        lines = lines_of(self._text.texts())
        return lines, parse(lines, self.language)


def _size(change: object) -> int:
    text = change.get("text") if isinstance(change, dict) else None
    return 100 + (len(text) if isinstance(text, str) else 0)
