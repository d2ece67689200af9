"""`nanoscope ablate`: a trace once more with heads, attention or MLPs switched off, or with other changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer

from daemon.cli import trace_names
from daemon.cli.capture import STDIN, LiveText, follow, print_outcome, shape_of, typed
from daemon.cli.options import INTERRUPTED, TRACES, Daemon, Json, Trace, command, misused
from daemon.cli.output import notice
from daemon.cli.questions import Estimate, print_estimate
from protocol.types import InterveneParams, InterveneResult, Intervention

PARTS = {"attn": "post_attn", "mlp": "post_mlp"}
WORDS = ("all", "prompt", "generated", "last")


@command("ablate", panel=TRACES)
def ablate(
    daemon: Daemon,
    trace: Trace,
    parts: Annotated[
        list[str] | None, typer.Argument(metavar="HEAD...", help="LAYER.HEAD, such as 3.1; LAYER.mlp; LAYER.attn.")
    ] = None,
    *,
    edits: Annotated[
        str | None,
        typer.Option(
            metavar="JSON", help="Interventions as docs/interventions.md has them: JSON, a file, or - (stdin)."
        ),
    ] = None,
    mean: Annotated[bool, typer.Option("--mean", help="Put their mean over the prompt there, not zeros.")] = False,
    positions: Annotated[
        str,
        typer.Option(metavar="WHICH", help="all, prompt, generated, last (the prompt's), or positions: 0,4,7:12."),
    ] = "all",
    anyway: Annotated[bool, typer.Option("--anyway", help="On this model, though another wrote the trace.")] = False,
    estimate: Estimate = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the response alone, when it is whole.")] = False,
    as_json: Json = False,
) -> int:
    """What would it have written without these parts? Runs a trace again with them switched off.

    Prompt, seed and settings are the trace's. What comes is a trace of its own, which `compare` sets beside the first.
    """
    from protocol.methods import INTERVENE

    shape, where = shape_of(as_json, quiet), _positions(positions)
    op: Literal["mean", "zero"] = "mean" if mean else "zero"
    interventions = [Intervention(op=op, positions=where, **what) for what in switched_off(parts or [])]
    interventions += [] if edits is None else edits_of(edits)
    if not interventions:
        raise misused("HEAD", "Name a part, such as 3.1, or give --edits.")
    with daemon.client(model=True) as client:
        trace_id = trace_names.find(client, trace)
        prompt = client.get_summary(trace_id=trace_id).prompt
        params = InterveneParams(
            trace_id=trace_id, interventions=interventions, anyway=anyway, estimate=estimate, stream=True
        )
        if estimate:
            return print_estimate(client.call(INTERVENE, params), as_json)
        result: InterveneResult | None = follow(client, INTERVENE, params, LiveText(prompt, chat=False), shape)
    if result is None:
        return INTERRUPTED
    if shape != "json":
        touched = ", ".join(map(str, result.touched))
        parted = "the same text" if result.position is None else f"another text from position {result.position} on"
        notice(f"{parted} as {result.parent}; positions touched: {touched}", "dim")
    return print_outcome(result, shape)


def switched_off(parts: list[str], flag: str = "HEAD") -> list[dict[str, Any]]:
    """What the words name: of each layer its heads, then its parts."""
    heads: dict[int, list[int]] = {}
    whole: list[dict[str, Any]] = []
    for part in dict.fromkeys(parts):
        layer, _, which = part.partition(".")
        if not _is_number(layer) or not (which in PARTS or _is_number(which)):
            raise misused(flag, f"{part!r} is none of LAYER.HEAD, LAYER.mlp and LAYER.attn, such as 3.1.")
        if which in PARTS:
            whole.append({"site": PARTS[which], "layer": int(layer)})
        else:
            heads.setdefault(int(layer), []).append(int(which))
    return [{"site": "head_output", "layer": layer, "heads": found} for layer, found in heads.items()] + whole


def edits_of(given: str) -> list[Intervention]:
    """Interventions as JSON: what was given, or the file of that name, or stdin; one alone or a list of them."""
    text = given
    if given == STDIN:
        text = typed()
    elif not given.lstrip().startswith(("[", "{")):
        text = Path(given).expanduser().read_text(encoding="utf-8", errors="replace")
    try:
        found = json.loads(text)
        return msgspec.convert(found if isinstance(found, list) else [found], list[Intervention], strict=True)
    except (ValueError, RecursionError) as problem:
        raise misused("--edits", f"{given[:60]!r} holds no interventions: {problem}") from None


def _positions(text: str) -> Any:
    if text in WORDS:
        return text
    found: list[Any] = []
    for item in text.split(","):
        start, colon, stop = item.partition(":")
        if not _is_number(start) or (colon and not _is_number(stop)):
            raise misused("--positions", f"{text!r} is none of {', '.join(WORDS)}, and no list such as 0,4,7:12.")
        found.append([int(start), int(stop)] if colon else int(start))
    return found


def _is_number(text: str) -> bool:
    return text.isdecimal() and text.isascii() and len(text) < 10
