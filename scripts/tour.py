"""`python -m scripts.tour`: run each command of docs/tour.md on the built-in model, and write what it says below it."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from difflib import unified_diff
from pathlib import Path

from tests.daemon.commands import Terminal
from tests.stress.ground import Ground, ground

TOUR = Path(__file__).resolve().parents[1] / "docs" / "tour.md"
COLUMNS, LINES = 100, 200
OPENS, CLOSES = "```console\n", "```\n"  # a block of commands and what they say
PROMPT = "$ "
FIGURE = re.compile(r"\d+(?:\.\d+)?")
SPINNER = re.compile("[\u2801-\u28ff] ")  # a line that goes when its work is done
TRACE_ID = re.compile(r"trace_\d{8}_\d{6}_\d{6}")
NUMBERED = "trace_20261129_080000_{:06}"
SPEED = re.compile(r"\b[\d,.]{1,9} a second")
SIZE = re.compile(r"\b\d{3}\.\d kB")
ERROR = re.compile(r"the sum (?:is out by \S+|closes to the last digit)")
CHANGING = {  # what no two runs have in common; besides, trace ids are numbered
    SPEED: "500 a second",
    SIZE: "400.0 kB",
    ERROR: "the sum is out by 1e-15",
}


class CommandFailedError(Exception):
    """A command of the tour ended with another status than 0; the message holds what it said."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write the tour's outputs, or check them; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.tour", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 where an output or a figure is not so"
    )
    check = parser.parse_args(argv).check
    written = TOUR.read_text(encoding="utf-8")
    try:
        told = retold(written)
    except CommandFailedError as error:
        print(error, file=sys.stderr)
        return 1
    if not check:
        TOUR.write_text(told, encoding="utf-8")
    elif told != written:
        print("What the commands of docs/tour.md say has changed: run `python -m scripts.tour`.", file=sys.stderr)
        lines = unified_diff(written.splitlines(), told.splitlines(), "docs/tour.md", "now", n=0, lineterm="")
        print(*lines, sep="\n", file=sys.stderr)
    made_up = unfounded(told)
    for section, figure in made_up:
        print(f"docs/tour.md, {section}: no output there says {figure}.", file=sys.stderr)
    return int(bool(made_up) or (check and told != written))


def retold(text: str) -> str:
    """The tour with what its commands say now: they run in their order, in a traces folder of their own."""
    prose, *rest = blocks(text)
    with ground() as here:
        told = prose[1] + "".join(f"{OPENS}{_said(here, content)}{CLOSES}{after}" for content, after in rest)
    return numbered(told)


def numbered(text: str) -> str:
    """A text with its trace ids numbered in the order in which they are named first."""
    numbers: dict[str, int] = {}
    return TRACE_ID.sub(lambda found: NUMBERED.format(numbers.setdefault(found[0], len(numbers) + 1)), text)


def blocks(text: str) -> list[tuple[str, str]]:
    """Each block's content, and the prose after it; the first has the prose before them all."""
    before, *opened = text.split(OPENS)
    parts = (part.partition(CLOSES) for part in opened)
    return [("", before), *((content, after) for content, _, after in parts)]


def unfounded(text: str) -> list[tuple[str, str]]:
    """The figures of the prose that no output of their section holds, each with the section's title."""
    missing = []
    for section in text.split("\n## ")[1:]:
        title, _, content = section.partition("\n")
        parts = blocks(content)
        shown = set(FIGURE.findall(" ".join(output for output, _ in parts)))
        prose = " ".join(words for _, words in parts)
        missing += [(title, figure) for figure in FIGURE.findall(prose) if figure not in shown]
    return missing


def _said(here: Ground, content: str) -> str:
    commands = [line for line in content.splitlines() if line.startswith(PROMPT)]
    return "\n".join(f"{command}\n{said_by(here, command.removeprefix(PROMPT))}" for command in commands)


def said_by(here: Ground, command: str) -> str:
    """What a command shows in a terminal without colours.

    Raises: CommandFailedError.
    """
    program, *words = shlex.split(command)
    assert program == "nanoscope", f"the tour runs nothing but nanoscope: {command}"
    variables = here.environment | {"NO_COLOR": "1", "COLUMNS": str(COLUMNS), "LINES": str(LINES)}
    with Terminal(*words, columns=COLUMNS, lines=LINES, variables=variables) as terminal:
        status = terminal.end()
        shown = terminal.plain
    if status != 0:
        raise CommandFailedError(f"{command}\n{shown}")
    for pattern, steady in CHANGING.items():
        shown = pattern.sub(steady, shown)
    lines = (line.rsplit("\r", 1)[-1].rstrip() for line in shown.split("\n"))
    return "".join(f"{line}\n" for line in lines if line and not SPINNER.match(line))


if __name__ == "__main__":
    sys.exit(main())
