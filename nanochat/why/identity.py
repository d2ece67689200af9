"""Whether a model is the one that wrote a trace, by what the trace tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nanochat.checkpoints.layouts import SOURCES
from nanochat.errors import OtherModelError
from nanochat.gpt import GPT
from nanochat.gpt_config import SIZES
from nanochat.system.text import model_words

NAMED = (*SOURCES, "demo")  # a source that is a folder may be called otherwise elsewhere


def check_writer(told: Mapping[str, Any] | None, model: GPT, *, anyway: bool = False) -> str | None:
    """Refuse to answer about a trace by a model that did not write it.

    Args:
        told: the trace's `model`.
        anyway: answer all the same.

    Returns:
        None where it is the one, as far as the trace tells; else what is to be said beside the answer.

    Raises:
        OtherModelError: it is another, and nobody said `anyway`. The message names both.
    """
    found = differences(told, model)
    if not found:
        return None
    ours = model_words({**model.provenance, "era": model.config.era})
    wrote = model_words(told) if told else "a model that it does not name"
    message = f"The trace was written by {wrote}; this is {ours}: {', '.join(found)}."
    if anyway:
        return message
    raise OtherModelError(
        f"{message} Load the one that wrote it (`nanoscope load`), or say anyway (`--anyway`) to ask this one."
    )


def differences(told: Mapping[str, Any] | None, model: GPT) -> list[str]:
    """What of a trace's `model` is not so of this one; a checkpoint may lie elsewhere, or compute in another dtype."""
    if not told:
        return ["the trace does not tell its model"]
    config, provenance = told.get("config"), model.provenance
    config = config if isinstance(config, Mapping) else {}
    pairs = [(key, config.get(key), getattr(model.config, key)) for key in (*SIZES, "window_pattern")]
    pairs += [
        ("era", told.get("era"), model.config.era),
        ("parameters", told.get("parameters"), model.num_parameters()),
    ]
    pairs += [(key, told.get(key), provenance.get(key)) for key in ("tag", "step")]
    if told.get("source") in NAMED and provenance.get("source") in NAMED:
        pairs.append(("source", told["source"], provenance["source"]))
    return [
        f"{key} {theirs}, not {ours}" for key, theirs, ours in pairs if None not in (theirs, ours) and theirs != ours
    ]
