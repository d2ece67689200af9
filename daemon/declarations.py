"""Functions as click commands: options, arguments, checks and help from their annotations, each said once.

typer does the same, but its present version imports pydantic for it, which is 0.1 s before every command.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union

import click
from click.shell_completion import CompletionItem

Complete = Callable[[dict[str, Any], str], list[tuple[str, str]]]  # (the flags so far, what is typed) to (word, help)
HELP_WIDTH = 100
ANYTHING = {int: click.INT, float: click.FLOAT, str: click.STRING, Path: click.Path(path_type=Path)}


class Option:
    """One option of a command.

    Args:
        names: such as "--rows", "-n"; by default made of the parameter's name.
        min: the least number that it takes.
        default: what the help says of it, where that is not the parameter's default.
        panel: the heading in the help below which it stands.
    """

    def __init__(
        self,
        *names: str,
        help: str = "",
        metavar: str | None = None,
        min: float | None = None,
        default: str | None = None,
        panel: str = "Options",
    ):
        self.names, self.help, self.metavar = sorted(names, key=len), help, metavar
        self.min, self.default, self.panel = min, default, panel


@dataclass(frozen=True)
class Argument:
    """One argument of a command; a list takes one word or more."""

    help: str
    metavar: str | None = None
    complete: Complete | None = None


class _Option(click.Option):
    panel = "Options"


class _Argument(click.Argument):
    text = ""


class Command(click.Command):
    """A command whose help shows its arguments, and its options below their headings; `panel` is its own heading."""

    panel = ""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        arguments = [(param.make_metavar(ctx), param.text) for param in self.params if isinstance(param, _Argument)]
        if arguments:
            with formatter.section(_heading("Arguments")):
                formatter.write_dl(arguments)
        panels: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = None if isinstance(param, _Argument) else param.get_help_record(ctx)
            if record is not None:
                panels.setdefault(getattr(param, "panel", "Options"), []).append(record)
        for panel, records in sorted(panels.items(), key=lambda item: item[0] != "Options"):
            with formatter.section(_heading(panel)):
                formatter.write_dl(records)


def _heading(text: str) -> str:
    return click.style(text, bold=True)


def make_command(name: str, function: Callable[..., Any], parameters: Sequence[inspect.Parameter]) -> Command:
    """A command from a function's parameters, each annotated `Annotated[type, Option(...)]` or Argument.

    Args:
        function: gets them by name; its docstring is the help.
    """
    return Command(
        name,
        callback=function,
        params=[_param(parameter) for parameter in parameters],
        help=inspect.getdoc(function),
        context_settings=CONTEXT,
    )


def parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """A function's parameters, their annotations looked up."""
    hints = typing.get_type_hints(function, include_extras=True)
    found = inspect.signature(function).parameters.values()
    return [parameter.replace(annotation=hints[parameter.name]) for parameter in found]


CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": HELP_WIDTH}


def _param(parameter: inspect.Parameter) -> click.Parameter:
    annotation, declaration = _parts(parameter.annotation)
    kind, many = _kind_of(annotation)
    given = parameter.default is not inspect.Parameter.empty
    if isinstance(declaration, Argument):
        return _argument(parameter, declaration, kind, many=many, required=not given)
    default = parameter.default if given else None
    more: dict[str, Any] = {"default": default} if given else {}  # click takes None for a value that is there
    names = declaration.names or [f"--{parameter.name.replace('_', '-')}"]
    option = _Option(
        [*names, parameter.name],
        type=click.BOOL if kind is bool else _checked(kind, declaration.min),
        is_flag=kind is bool,
        multiple=many,
        required=not given,
        help=declaration.help,
        metavar=declaration.metavar,
        show_default=declaration.default or default not in (None, False),
        **more,
    )
    option.panel = declaration.panel
    return option


def _argument(
    parameter: inspect.Parameter, declaration: Argument, kind: Any, *, many: bool, required: bool
) -> click.Argument:
    metavar = (declaration.metavar or parameter.name.upper()) + "..." * many
    argument = _Argument(
        [parameter.name],
        type=ANYTHING[kind],
        nargs=-1 if many else 1,
        required=required,
        metavar=metavar if required else f"[{metavar}]",
        shell_complete=declaration.complete and _completer(declaration.complete),
    )
    if not required:
        argument.default = parameter.default
    argument.text = declaration.help
    return argument


def _completer(complete: Complete) -> Callable[..., list[CompletionItem]]:
    def items(context: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(word, help=text) for word, text in complete(context.params, incomplete)]

    return items


def _parts(annotation: Any) -> tuple[Any, Option | Argument]:
    if typing.get_origin(annotation) is not Annotated:
        return annotation, Option()
    base, *extras = typing.get_args(annotation)
    return base, next(extra for extra in extras if isinstance(extra, Option | Argument))


def _kind_of(annotation: Any) -> tuple[Any, bool]:
    """The type of one value, and whether there may be several."""
    if typing.get_origin(annotation) in (Union, types.UnionType):
        annotation = next(part for part in typing.get_args(annotation) if part is not type(None))
    if typing.get_origin(annotation) is list:
        return typing.get_args(annotation)[0], True
    return annotation, False


def _checked(kind: Any, least: float | None) -> click.ParamType:
    if typing.get_origin(kind) is Literal:
        return click.Choice(typing.get_args(kind))
    if least is None:
        return ANYTHING[kind]
    return click.IntRange(min=int(least)) if kind is int else click.FloatRange(min=least)
