"""Prompt documents: where in a text the prompts are, and what their front matter asks for. Pure."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any

from daemon.document_text import LINE_ENDS, Place
from daemon.prompt_front_matter import Problem, read_front_matter

LANGUAGES = ("prompt", "markdown")  # as editors call them
EXTENSIONS = {".prompt": "prompt", ".md": "markdown", ".markdown": "markdown"}  # where the editor has no such word
SEPARATOR = re.compile(r"---[ \t]*")
FENCE = re.compile(r"([ \t]*)(`{3,}|~{3,})[ \t]*([^\r\n]*)")
INFO = "prompt"  # the first word behind a fence
CODE_INDENTATION = 4  # blanks more than a fence's own make a line of code of what looks like its end
NAME_LENGTH = 60  # characters
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
    """What a document holds."""

    prompts: tuple[Prompt, ...]
    problems: tuple[Problem, ...]

    def at(self, line: int) -> Prompt | None:
        """The prompt whose section a line is in."""
        index = bisect_right(self.prompts, line, key=lambda prompt: prompt.first_line) - 1
        return self.prompts[index] if index >= 0 and line <= self.prompts[index].last_line else None


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
    blocks = _fenced(lines) if language == "markdown" else [(range(len(lines)), 0)]
    prompts: list[Prompt] = []
    problems: list[Problem] = []
    for block, indentation in blocks:
        for section in _sections(lines, block, indentation):
            prompt, found = _read_section(lines, section, indentation)
            problems += found
            if prompt is not None:
                prompts.append(prompt)
    return Parsed(tuple(prompts), tuple(problems))


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
        if SEPARATOR.fullmatch(_content(lines[number], indentation)[0]):
            yield range(first, number)
            first = number + 1
    yield range(first, block.stop)


def _content(line: str, indentation: int) -> tuple[str, int]:
    """A line without its end and indentation, and how much of that there was."""
    content = line.rstrip(LINE_ENDS)
    column = min(indentation, len(content) - len(content.lstrip(" \t"))) if indentation else 0
    return content[column:], column


def _read_section(lines: Sequence[str], section: range, indentation: int) -> tuple[Prompt | None, tuple[Problem, ...]]:
    contents = [_content(lines[number], indentation) for number in section]
    blank = [not content.strip() for content, _ in contents]
    if all(blank):
        return None, ()
    first = blank.index(False)
    front = read_front_matter([content for content, _ in contents[first:]], section.start + first)
    problems = tuple(problem.moved(contents[problem.line - section.start][1]) for problem in front.problems)
    start, stop = first + front.lines if front.lines else 0, len(contents)
    while start < stop and not contents[start][0]:
        start += 1
    while stop > start and not contents[stop - 1][0]:
        stop -= 1
    if all(blank[start:stop]):
        content, column = contents[first]
        missing = Problem(section.start + first, column, column + len(content), NO_PROMPT, "warning")
        return None, (*problems, missing)
    text, columns = zip(*contents[start:stop], strict=True)
    top = first if front.lines else start
    return Prompt(section.start + top, section.start + start, text, columns, front.settings, problems), problems
