"""Prompt documents: where in a text the prompts are, and what their front matter asks for. Pure."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from itertools import accumulate
from typing import Any

from daemon.editor.front_matter import MOST_PROBLEMS, Problem, read_front_matter
from daemon.editor.text import LINE_ENDS, Place

LANGUAGES = ("prompt", "markdown")  # as editors call them
EXTENSIONS = {".prompt": "prompt", ".md": "markdown", ".markdown": "markdown"}  # where the editor has no such word
LARGEST = 2 << 20  # characters of a document
MOST_PROMPTS = 2000  # of a document
SEPARATOR = re.compile(r"---[ \t]*+")
FENCE = re.compile(r"([ \t]*+)(`{3,}+|~{3,}+)[ \t]*+([^\r\n]*+)")
INFO = "prompt"  # the first word behind a fence
CODE_INDENTATION = 4  # blanks more than a fence's own make a line of code of what looks like its end
NAME_LENGTH = 60  # characters
UNREAD = "Prompts are looked for up to the {:,}th of a document, and {:,} more begin here: split the document."
NO_PROMPT = "There is no prompt below this front matter; `---` is written between prompts, not around front matter."


@dataclass(frozen=True)
class Prompt:
    """One prompt of a document.

    Args:
        first_line: of its section, which begins with the front matter where it has one.
        text_line: the first line of its text.
        lines: its text, without line ends and without a fence's indentation.
        columns: where in the document's line each of them begins.
        settings: what the front matter gives, by the names that generation has for it, and `chat`.
        problems: errors and warnings of its front matter.
    """

    first_line: int
    text_line: int
    lines: tuple[str, ...]
    columns: tuple[int, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @cached_property
    def text(self) -> str:
        """What the model is given, with \\n between the lines."""
        return "\n".join(self.lines)

    @cached_property
    def key(self) -> str:
        """Tells it from other prompts: by its text, and with what it asks for."""
        settings = repr(sorted(self.settings.items()))
        return f"{self.digest.hex()[:32]}.{digest_of(settings).hex()[:16]}"

    @cached_property
    def digest(self) -> bytes:
        """Stands for its text."""
        return digest_of(self.text)

    @property
    def last_line(self) -> int:
        """The last line of its text."""
        return self.text_line + len(self.lines) - 1

    @property
    def chat(self) -> bool:
        """Whether the model is to take it for a user's message."""
        return bool(self.settings.get("chat", False))

    @property
    def name(self) -> str:
        """Its first line, shortened."""
        line = next(line.strip() for line in self.lines if line.strip())
        return line if len(line) <= NAME_LENGTH else line[: NAME_LENGTH - 1].rstrip() + "…"

    @property
    def start(self) -> Place:
        """Where its text begins in the document."""
        return self.text_line, self.columns[0]

    @property
    def end(self) -> Place:
        """Where its text ends in the document."""
        return self.last_line, self.columns[-1] + len(self.lines[-1])

    @cached_property
    def _starts(self) -> list[int]:
        """Where each line begins in the text."""
        return [0, *accumulate(len(line) + 1 for line in self.lines)][:-1]

    def place_of(self, offset: int) -> Place:
        """Where in the document a character of the text is."""
        row = bisect_right(self._starts, offset) - 1
        return self.text_line + row, self.columns[row] + offset - self._starts[row]

    def offset_of(self, place: Place) -> int | None:
        """Which character of the text is at a place in the document; None where there is none of it."""
        row, column = place[0] - self.text_line, place[1]
        if not 0 <= row < len(self.lines):
            return None
        character = column - self.columns[row]
        offset = self._starts[row] + character
        return offset if 0 <= character <= len(self.lines[row]) and offset < len(self.text) else None


@dataclass(frozen=True)
class Parsed:
    """What a document holds; `more`: how many problems it has besides those told."""

    prompts: tuple[Prompt, ...] = ()
    problems: tuple[Problem, ...] = ()
    more: int = 0

    def at(self, line: int) -> Prompt | None:
        """The prompt whose section a line is in."""
        index = bisect_right(self.prompts, line, key=lambda prompt: prompt.first_line) - 1
        return self.prompts[index] if index >= 0 and line <= self.prompts[index].last_line else None


def digest_of(text: str) -> bytes:
    """What stands for a text where it would take too much room."""
    return sha256(text.encode()).digest()


def language_of(language: str, uri: str) -> str | None:
    """ "prompt" or "markdown"; None for a document that holds no prompts."""
    if language in LANGUAGES:
        return language
    return next((known for extension, known in EXTENSIONS.items() if uri.endswith(extension)), None)


def parse(lines: Sequence[str], language: str) -> Parsed:
    """The prompts of a document.

    Args:
        lines: with or without their ends.
        language: as `language_of` has it.
    """
    prompts: list[Prompt] = []
    problems: list[Problem] = []
    more = unread = 0
    unread_from = 0
    for section, indentation in _all_sections(lines, language):
        if len(prompts) == MOST_PROMPTS:
            if any(lines[number].strip() for number in section):
                unread_from = unread_from if unread else section.start
                unread += 1
            continue
        prompt, found, others = _read_section(lines, section, indentation)
        room = max(0, MOST_PROBLEMS - len(problems))
        problems += found[:room]
        more += others + len(found[room:])
        if prompt is not None:
            prompts.append(prompt)
    if unread:
        message = UNREAD.format(MOST_PROMPTS, unread)
        problems.insert(0, Problem(unread_from, 0, len(lines[unread_from].rstrip(LINE_ENDS)), message, "warning"))
    return Parsed(tuple(prompts), tuple(problems), more)


def _all_sections(lines: Sequence[str], language: str) -> Iterator[tuple[range, int]]:
    """The lines between separators, and how far they are indented."""
    blocks = _fenced(lines) if language == "markdown" else [(range(len(lines)), 0)]
    for block, indentation in blocks:
        for section in _sections(lines, block, indentation):
            yield section, indentation


def _fenced(lines: Sequence[str]) -> Iterator[tuple[range, int]]:
    """The lines inside each fence for prompts, and how far they are indented."""
    opened: tuple[int, int, str, bool] | None = None  # line, indentation, fence, whether it is for prompts
    for number, line in enumerate(lines):
        match = FENCE.match(line)
        if match is None:
            continue
        indentation, fence, info = len(match[1].expandtabs(4)), match[2], match[3].strip()
        if opened is None:
            if fence[0] == "~" or "`" not in info:
                opened = number, len(match[1]), fence, info.split(maxsplit=1)[:1] == [INFO]
        elif not info and fence.startswith(opened[2]) and indentation < opened[1] + CODE_INDENTATION:
            if opened[3]:
                yield range(opened[0] + 1, number), opened[1]
            opened = None
    if opened is not None and opened[3]:  # open to the end of the document
        yield range(opened[0] + 1, len(lines)), opened[1]


def _sections(lines: Sequence[str], block: range, indentation: int) -> Iterator[range]:
    first = block.start
    for number in block:
        if SEPARATOR.fullmatch(_content(lines[number], indentation)):
            yield range(first, number)
            first = number + 1
    yield range(first, block.stop)


def _content(line: str, indentation: int) -> str:
    """A line without its end and indentation."""
    return line[_column(line, indentation) :].rstrip(LINE_ENDS)


def _column(line: str, indentation: int) -> int:
    """How much of an indentation a line has."""
    return min(indentation, len(line) - len(line.lstrip(" \t"))) if indentation else 0


def _read_section(
    lines: Sequence[str], section: range, indentation: int
) -> tuple[Prompt | None, tuple[Problem, ...], int]:
    """The prompt of a section, its problems, and how many more there are."""
    contents = [_content(lines[number], indentation) for number in section]
    blank = [not content.strip() for content in contents]
    if all(blank):
        return None, (), 0
    first = blank.index(False)
    front = read_front_matter(contents[first:], section.start + first)
    problems = tuple(problem.moved(_column(lines[problem.line], indentation)) for problem in front.problems)
    start, stop = first + front.lines if front.lines else 0, len(contents)
    while start < stop and not contents[start]:
        start += 1
    while stop > start and not contents[stop - 1]:
        stop -= 1
    if all(blank[start:stop]):
        column = _column(lines[section.start + first], indentation)
        missing = Problem(section.start + first, column, column + len(contents[first]), NO_PROMPT, "warning")
        return None, (*problems, missing), front.more
    columns = tuple(_column(lines[section.start + number], indentation) for number in range(start, stop))
    top = first if front.lines else start
    text = tuple(contents[start:stop])
    prompt = Prompt(section.start + top, section.start + start, text, columns, front.settings, problems)
    return prompt, problems, front.more
