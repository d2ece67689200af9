"""Functions as commands."""

from pathlib import Path
from typing import Annotated, Any, Literal

import click
import pytest
from click.testing import CliRunner, Result

from daemon.declarations import Argument, Option, make_command, parameters_of

seen: list[dict[str, Any]] = []


def example(
    names: Annotated[list[str], Argument("Who.", "NAME")],
    *,
    count: Annotated[int, Option("--count", "-c", min=1, metavar="N", help="How often.")] = 2,
    ratio: Annotated[float | None, Option(help="How much.", default="all")] = None,
    kind: Annotated[Literal["a", "b"], Option(help="Which.")] = "a",
    out: Annotated[Path | None, Option(metavar="FILE", panel="Files")] = None,
    tags: Annotated[list[str] | None, Option("--tag", help="May be repeated.")] = None,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Say nothing.")] = False,
    needed: Annotated[str, Option(help="Must be there.")],
) -> None:
    """Do it.

    At length.
    """
    seen.append(dict(locals()))


def call(*words: str) -> Result:
    return CliRunner().invoke(make_command("example", example, parameters_of(example)), list(words))


def test_values_have_their_types() -> None:
    words = ("x", "y", "-c", "3", "--ratio", "0.5", "--kind", "b", "--out", "f", "--tag", "1", "--tag", "2", "-q")
    assert call(*words, "--needed", "n").exit_code == 0
    assert seen.pop() == {
        "names": ("x", "y"), "count": 3, "ratio": 0.5, "kind": "b", "out": Path("f"), "tags": ("1", "2"),
        "quiet": True, "needed": "n",
    }  # fmt: skip
    assert call("x", "--needed", "n").exit_code == 0
    assert seen.pop() == {
        "names": ("x",), "count": 2, "ratio": None, "kind": "a", "out": None, "tags": (), "quiet": False, "needed": "n"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--needed", "n"), "Missing argument"),
        (("x",), "Missing option '--needed'"),
        (("x", "--needed", "n", "-c", "0"), "0 is not in the range"),
        (("x", "--needed", "n", "-c", "two"), "'two' is not a valid integer"),
        (("x", "--needed", "n", "--kind", "c"), "'c' is not one of 'a', 'b'"),
    ],
)
def test_misuse(words: tuple[str, ...], said: str) -> None:
    done = call(*words)
    assert (done.exit_code, said in done.output, seen) == (2, True, [])


def test_help_has_arguments_panels_and_defaults() -> None:
    text = call("--help").output
    assert text.startswith("Usage: example [OPTIONS] NAME...\n\n  Do it.\n\n  At length.\n")
    assert "Arguments:\n  NAME...  Who.\n" in text
    assert "-c, --count N" in text
    assert "[default: 2; x>=1]" in text
    assert "[default: (all)]" in text
    assert text.index("Options:") < text.index("--help") < text.index("Files:\n  --out FILE")


def test_an_argument_may_be_left_out() -> None:
    def optional(name: Annotated[str, Argument("Which.", "NAME")] = "latest") -> None:
        click.echo(name)

    made = make_command("optional", optional, parameters_of(optional))
    assert CliRunner().invoke(made, []).output == "latest\n"
    assert CliRunner().invoke(made, ["--help"]).output.startswith("Usage: optional [OPTIONS] [NAME]\n")
