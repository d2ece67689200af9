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

LINE = re.compile(r"([a-z][a-z0-9_]*)[ \t]*:(?!//)[ \t]*(.*?)[ \t]*")
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
    """The settings that are valid, what is wrong, and how many lines it has."""

    settings: dict[str, Any]
    problems: tuple[Problem, ...]
    lines: int


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
    found: list[re.Match[str]] = []
    for line in lines:
        match = LINE.fullmatch(line)
        if match is None:
            break
        found.append(match)
    if any(match[1] in KEYS for match in found):
        return _read(found, first)
    return FrontMatter({}, tuple(_mistyped(found, first)), 0)


def _read(found: Sequence[re.Match[str]], first: int) -> FrontMatter:
    settings: dict[str, Any] = {}
    problems: list[Problem] = []
    for number, match in enumerate(found, first):
        key, value = match[1], match[2]
        if key not in KEYS:
            likely = get_close_matches(key, KEYS, 1, ALIKE)
            hint = f"did you mean `{likely[0]}`?" if likely else f"there are {', '.join(KEYS)}."
            problems.append(Problem(number, *match.span(1), f"There is no setting `{key}`: {hint}"))
        elif key in settings:
            problems.append(Problem(number, *match.span(1), f"`{key}` is given twice: remove one of them."))
        else:
            try:
                settings[key] = KEYS[key].read(value)
            except (ValueError, NanoscopeError):
                shown = value if len(value) <= SHOWN else value[:SHOWN] + "…"
                wanted = KEYS[key].wanted
                message = f"`{key}` is {wanted}, not “{shown}”." if value else f"`{key}` needs {wanted}."
                place = match.span(2) if value else match.span()
                problems.append(Problem(number, *place, message))
                settings[key] = None
    valid = {key: value for key, value in settings.items() if value is not None}
    return FrontMatter(valid, tuple(problems), len(found))


def _mistyped(found: Sequence[re.Match[str]], first: int) -> list[Problem]:
    """Lines that are text, since no key of them is known, and yet look as if they were not meant so."""
    problems = []
    for number, match in enumerate(found, first):
        likely = get_close_matches(match[1], KEYS, 1, ALIKE)
        if likely:
            message = f"There is no setting `{match[1]}`, so this is part of the prompt: did you mean `{likely[0]}`?"
            problems.append(Problem(number, *match.span(1), message, "warning"))
    return problems


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
