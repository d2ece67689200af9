"""`nanoscope diff --model-b`: what a model is called on the command line, and a trace's prompt run on it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from daemon.cli.ablate import edits_of
from daemon.cli.capture import LiveText, follow
from daemon.cli.options import misused
from daemon.cli.output import notice
from nanochat.checkpoints.layouts import SOURCES
from nanochat.errors import CheckpointNotFoundError
from nanochat.system.text import model_words, printable, some_of
from protocol.types import Cost, InterveneParams, InterveneResult, Intervention, NamedModel

if TYPE_CHECKING:
    from daemon.client.sync import Client
    from protocol.types import DiffTracesResult

FLAG = "--model-b"
NO_EDITS = "none"
LONGEST_STEP = 18  # digits
HELP = (
    "In place of B: A's prompt, settings and seed on this model, kept as a trace. base, mid, sft, rl or demo, with its "
    "tag and step if need be (sft:d12:650), or a folder."
)


def model_named(text: str) -> NamedModel:
    """The model that is meant: SOURCE, SOURCE:TAG, SOURCE:TAG:STEP, a folder, or a model_<step>.pt."""
    source, *more = text.split(":")
    if source not in (*SOURCES, "demo"):
        return NamedModel(source=os.path.abspath(os.path.expanduser(text)))
    tag, step, *rest = *more, *[""] * (2 - len(more))
    is_step = step.isdecimal() and step.isascii() and len(step) <= LONGEST_STEP
    if rest or (step and not is_step):
        raise misused(FLAG, f"{text!r} is none of SOURCE, SOURCE:TAG and SOURCE:TAG:STEP, such as sft:d12:650.")
    return NamedModel(source=source, tag=tag or None, step=int(step) if step else None)


def check_named(client: Client, named: NamedModel, text: str) -> None:
    """Raise CheckpointNotFoundError, with what there is, where that is neither a file or folder nor such a source."""
    there = client.list_models().models
    if os.path.isabs(named.source or ""):
        found = os.path.exists(named.source or "")
    else:
        found = any(model.source == named.source for model in there)
    if not found:
        names = [model.path if os.path.isabs(model.source) else f"{model.source}:{model.tag}" for model in there]
        raise CheckpointNotFoundError(
            f"There is no model {text!r}: name {some_of(names)}, as `nanoscope models` lists them, or a folder with a "
            "checkpoint."
        )


def edits_wanted(edits: str | None) -> list[Intervention] | None:
    """Those that are given; none of them, where that is said; None: those that the trace was made with."""
    if edits is None:
        return None
    return [] if edits == NO_EDITS else edits_of(edits)


def run_on(
    client: Client, trace_id: str, named: NamedModel, edits: list[Intervention] | None, estimate: bool
) -> InterveneResult | None:
    """A trace's prompt on another model, or what that would take; None where it was interrupted."""
    from protocol.methods import INTERVENE

    params = InterveneParams(
        trace_id=trace_id, interventions=edits, model=named, estimate=estimate, stream=not estimate
    )
    result: InterveneResult | None = follow(client, INTERVENE, params, LiveText("", chat=False), "quiet")
    if result is not None and not estimate:
        _tell(result)
    return result


def _tell(result: InterveneResult) -> None:
    assert result.summary is not None  # of an estimate
    told = result.summary.model or {}
    counts = f"{result.prompt_tokens} + {result.response_tokens} tokens"
    notice(f"B is {result.trace_id}  {counts}, by {model_words(told)}", "dim")
    if told.get("note"):
        notice(printable(str(told["note"])), "dim")


def whole_estimate(run: InterveneResult, difference: DiffTracesResult) -> DiffTracesResult:
    """What both would take: the run, and then the difference of two traces such as A."""
    assert run.cost is not None and difference.cost is not None
    difference.cost = Cost(
        forwards=run.cost.forwards,
        bytes=max(run.cost.bytes, difference.cost.bytes),
        seconds=run.cost.seconds + difference.cost.seconds,
    )
    difference.notices = run.notices
    return difference
