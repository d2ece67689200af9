"""Commands about the model: models, load."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.cli.options import MODELS, PLACE_FLAGS, Daemon, Json, command
from daemon.cli.output import Column, Waiting, output, print_facts, print_json, print_rows
from daemon.settings import SOURCES
from nanochat.system.text import place_of

PARAMS = {
    "model_tag": "tag",
    "step": "step",
    "era": "era",
    "device": "device",
    "dtype": "dtype",
    "window_pattern": "window_pattern",
}
STEPS = 4  # shown of a model's steps, the last ones


@command("models", panel=MODELS, flags=(*PLACE_FLAGS, "base_dir"))
def models(daemon: Daemon, *, as_json: Json = False) -> int:
    """The checkpoints that can be loaded; the one held is marked.

    In a pipe: source, tag, steps, folder, and * for the one held, parted by tabs.
    """
    with daemon.client() as client:
        result = client.list_models()
    if as_json:
        print_json(result)
        return 0
    held = result.current
    rows = [
        [
            model.source,
            model.tag,
            _steps(model.steps),
            model.path,
            "*" if held.path is not None and _same(Path(held.path).parent, model.path) else "",
        ]
        for model in result.models
    ]
    if sys.stdout.isatty():
        rows = [[row[-1], *row[:-1]] for row in rows]
        columns = (Column(""), Column("source"), Column("tag"), Column("steps"), Column("folder", gives_way=True))
        print_rows(columns, rows)
        output().print()
        print_facts([*facts_of("held", held), ("nanochat", result.base_dir)])
    else:
        print_rows((), rows)
    return 0


def _same(one: Path, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _steps(steps: list[int]) -> str:
    if sys.stdout.isatty() and len(steps) > STEPS:
        return f"{len(steps)} steps, the last {steps[-1]}"
    return ",".join(map(str, steps))


@command("load", panel=MODELS, flags=(*PLACE_FLAGS, *PARAMS, "base_dir"))
def load(
    daemon: Daemon,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            autocompletion=lambda: SOURCES,
            help="base, mid, sft, rl, demo, or a folder with a checkpoint.",
        ),
    ],
    *,
    as_json: Json = False,
) -> int:
    """Switch to another model, for every client; the one held stays if it cannot be loaded."""
    settings = daemon.settings
    place = source if source in SOURCES else os.path.abspath(os.path.expanduser(source))
    params: dict[str, Any] = {"source": place}
    for flag, name in PARAMS.items():
        if daemon.flags.get(flag) is not None:
            params[name] = getattr(settings, flag)
    with daemon.client() as client, Waiting(f"loading {source}"):
        result = client.call("load_model", params)
    if as_json:
        print_json(result)
    else:
        print_facts(facts_of("held", result.model))
    return 0


def facts_of(name: str, model: Any) -> list[tuple[str, Any]]:
    """A model, where it lies, and what else there is to know of it; under `name` on the left."""
    place = place_of({"source": model.source, "tag": model.tag, "path": model.path})
    return [(name, describe(model)), ("", place), ("", model.note), ("", model.outdated)]


def describe(model: Any) -> str:
    """A model in one line, with what keeps it from being ready."""
    if model.state == "unloaded":
        return "none yet; loaded when it is needed"
    if model.state == "failed":
        return f"none: {model.error}"
    if model.source is None:
        return "being loaded"
    name = " ".join(dict.fromkeys(filter(None, (model.source, model.tag))))
    step = f" step {model.step}" if model.step is not None else ""
    sizes = f"{model.layers} layers of {model.heads} heads, {(model.parameters or 0) / 1e6:.1f}M parameters"
    loading = "; another is being loaded" if model.state == "loading" else ""
    return f"{name}{step}, era {model.era}: {sizes}, {model.dtype} on {model.device}{loading}"
