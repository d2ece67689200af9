"""The lines `key: value` above a prompt: which keys there are, and what is wrong with them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal

from nanochat.errors import NanoscopeError
from nanochat.generation_settings import GenerationSettings
from nanochat.trace_storage import check_category

# No run of blanks is read over and over: with `(.*?)[ \t]*` the time would grow with the square of their number. The
# loop over words is not possessive: Python 3.11 before 3.11.5 does not go back within one that is, where a part fails.
KEY = re.compile(r"([a-z][a-z0-9_]*+)[ \t]*+:(?!//)")
LINE = re.compile(KEY.pattern + r"[ \t]*+((?:[^ \t]++(?:[ \t]++[^ \t]++)*)?)[ \t]*+")
LONGEST_LINE = 1000  # characters; what is longer is text
LONGEST_KEY = 30  # characters; what is longer is no known key that was mistyped
MOST_PROBLEMS = 200  # that are kept of one document, and of one front matter
ALIKE = 0.75  # how much so a word is taken for a known key that was mistyped
SHOWN = 60  # characters of a value in a message


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a part of a line; `start` and `end` are characters of it."""

    line: int
    start: int
    end: int
    message: str
    severity: Literal["error", "warning"] = "error"

    def moved(self, column: int) -> Problem:
        """The same, so many characters further right."""
        return replace(self, start=self.start + column, end=self.end + column)


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """The settings that are valid, what is wrong, how many lines it has, and how many more problems."""

    settings: dict[str, Any]
    problems: tuple[Problem, ...]
    lines: int
    more: int = 0


@dataclass(frozen=True, slots=True)
class Key:
    """How a key's value is read, which raises ValueError or NanoscopeError, and what it should be."""

    read: Callable[[str], Any]
    wanted: str


def read_front_matter(lines: Sequence[str], first: int = 0) -> FrontMatter:
    """The front matter that a section begins with, if it has any.

    Args:
        lines: the section, without line ends, its first line not blank.
        first: the number of that line.
    """
    problems, count, known = Problems(), 0, False
    for line in lines:
        match = LINE.fullmatch(line) if len(line) <= LONGEST_LINE else None
        if match is None:
            _check_length(line, first + count, problems)
            break
        count += 1
        known |= match[1] in KEYS
    if not known:
        _look_for_mistyped(lines[: min(count, MOST_PROBLEMS)], first, problems)
        return FrontMatter({}, tuple(problems.kept), 0, problems.more)
    settings = _read(lines[:count], first, problems)
    return FrontMatter(settings, tuple(problems.kept), count, problems.more)


class Problems:
    """The first problems of something, and how many more there are."""

    def __init__(self) -> None:
        self.kept: list[Problem] = []
        self.more = 0

    def add(self, *problem: Any) -> None:
        """One more, by the fields of a Problem."""
        if len(self.kept) < MOST_PROBLEMS:
            self.kept.append(Problem(*problem))
        else:
            self.more += 1


def _check_length(line: str, number: int, problems: Problems) -> None:
    key = KEY.match(line)
    if len(line) > LONGEST_LINE and key and key[1] in KEYS:
        message = f"This line has {len(line):,} characters, and is part of the prompt: a setting's has {LONGEST_LINE:,}"
        problems.add(number, 0, len(line), message + " at most.", "warning")


def _read(lines: Sequence[str], first: int, problems: Problems) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for number, match in enumerate(filter(None, map(LINE.fullmatch, lines)), first):
        key, value = match[1], match[2]
        if key not in KEYS:
            likely = None if problems.more else _likely(key)
            hint = f"did you mean `{likely}`?" if likely else f"there are {', '.join(KEYS)}."
            shown = key if len(key) <= SHOWN else key[:SHOWN] + "…"
            problems.add(number, *match.span(1), f"There is no setting `{shown}`: {hint}")
        elif key in settings:
            problems.add(number, *match.span(1), f"`{key}` is given twice: remove one of them.")
        else:
            try:
                settings[key] = KEYS[key].read(value)
            except (ValueError, NanoscopeError):
                shown = value if len(value) <= SHOWN else value[:SHOWN] + "…"
                wanted = KEYS[key].wanted
                message = f"`{key}` is {wanted}, not “{shown}”." if value else f"`{key}` needs {wanted}."
                problems.add(number, *(match.span(2) if value else match.span()), message)
                settings[key] = None
    return {key: value for key, value in settings.items() if value is not None}


def _look_for_mistyped(lines: Sequence[str], first: int, problems: Problems) -> None:
    """Lines that are text, since no key of them is known, and yet look as if they were not meant so."""
    for number, match in enumerate(filter(None, map(LINE.fullmatch, lines)), first):
        likely = _likely(match[1])
        if likely:
            message = f"There is no setting `{match[1]}`, so this is part of the prompt: did you mean `{likely}`?"
            problems.add(number, *match.span(1), message, "warning")


def _likely(key: str) -> str | None:
    """The known key that was probably meant."""
    return next(iter(get_close_matches(key, KEYS, 1, ALIKE)), None) if len(key) <= LONGEST_KEY else None


def _whole(name: str) -> Callable[[str], int]:
    def read(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,20}", value):
            raise ValueError
        GenerationSettings(**{name: int(value)}).check()
        return int(value)

    return read


def _temperature(value: str) -> float:
    if not re.fullmatch(r"[0-9.]+([eE][-+]?[0-9]+)?", value):
        raise ValueError
    GenerationSettings(temperature=float(value)).check()
    return float(value)


def _category(value: str) -> str:
    check_category(value)
    return value


def _true_or_false(value: str) -> bool:
    return ("false", "true").index(value) == 1  # ValueError for any other


WHOLE = "a whole number, 0 or above"
KEYS = {
    "category": Key(_category, "a short printable name"),
    "max_tokens": Key(_whole("max_tokens"), WHOLE),
    "temperature": Key(_temperature, "a number, 0 or above"),
    "top_k": Key(_whole("top_k"), WHOLE),
    "seed": Key(_whole("seed"), WHOLE),
    "chat": Key(_true_or_false, "`true` or `false`"),
}
