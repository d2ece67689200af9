"""What tells a trace from others of the same prompt: the model, the sampling settings, what was changed meanwhile."""

import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from nanochat.system.text import on_one_line, shortened
from nanochat.traces.document import Document

SETTINGS = ("temperature", "top_k", "seed", "max_tokens")
LARGEST = (1 << 63) - 1  # as large as a seed may be
LARGEST_STEP = (1 << 53) - 1
_SHOWN_NAME = 80
_SHOWN_HEADS, _SHOWN_CHANGES, _SHOWN_CHANGED = 8, 8, 200
_TUNED = ("mid", "sft", "rl")  # sources whose models have the tags of the base models that they were made of


def provenance(document: Document) -> dict[str, Any]:
    """`model` and the settings, those that the trace tells: what is of another form is left out."""
    model = short_model_name(document.model, document.metadata)
    found = {"model": model, **sampling_settings(document.generation, document.metadata)}
    return {key: value for key, value in found.items() if value is not None}


def short_model_name(model: Mapping[str, Any] | None, metadata: Mapping[str, Any]) -> str | None:
    """As people say it: `d12 · 2289`, `sft d12 · 700`, `demo`; None where the trace does not tell."""
    model = model or {}
    source, step = _word(model.get("source", metadata.get("model_source"))), model.get("step")
    name = _word(model.get("tag")) or PurePath(source).name
    if not name:
        return None
    if source in _TUNED and name != source:
        name = f"{source} {name}"
    is_step = type(step) is int and 0 <= step <= LARGEST_STEP
    return f"{name} · {step}" if is_step and name != "demo" else name


def sampling_settings(generation: Mapping[str, Any] | None, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as numbers; older traces tell the temperature alone, among the metadata."""
    generation = generation or {}
    temperature = generation.get("temperature", metadata.get("temperature"))
    settings: dict[str, Any] = {name: _whole(generation.get(name)) for name in SETTINGS}
    settings["temperature"] = _number(temperature)
    if "top_k" in generation and generation["top_k"] is None:  # 0 and null both draw from all
        settings["top_k"] = 0
    return settings


def changed_words(interventions: Sequence[Mapping[str, Any]]) -> str | None:
    """All that was changed, short enough for a list: `without L3H1, L3 MLP; scale L2 post_mlp by 2`; None: nothing."""
    if not interventions:
        return None
    first = interventions[:_SHOWN_CHANGES]
    off = [words for words in map(_switched_off, first) if words]
    others = [change_words(told) for told in first if not _switched_off(told)]
    others += [f"{len(interventions) - len(first)} more"] if len(interventions) > len(first) else []
    parts = [f"without {', '.join(off)}"] if off else []
    return shortened("; ".join([*parts, *filter(None, others)]), _SHOWN_CHANGED) or "edited"


def _switched_off(told: Mapping[str, Any]) -> str:
    """The heads or the MLP that an intervention takes out everywhere; nothing where it does otherwise."""
    op, site, layer, heads = (told.get(key) for key in ("op", "site", "layer", "heads"))
    if op != "zero" or type(layer) is not int or told.get("positions") not in (None, "all"):
        return ""
    if site == "post_mlp":
        return f"L{layer} MLP"
    return _heads(layer, heads) if site == "head_output" and isinstance(heads, list) and heads else ""


def _heads(layer: int, heads: Sequence[Any]) -> str:
    more = f" and {len(heads) - _SHOWN_HEADS} more" if len(heads) > _SHOWN_HEADS else ""
    return ", ".join(_word(f"L{layer}H{head}") for head in heads[:_SHOWN_HEADS]) + more


def change_words(told: Mapping[str, Any]) -> str:
    """What an intervention did: `zero L3H1, L3H2`, `scale L2 post_mlp by 2 at last`. Files may tell anything."""
    op, site, layer, heads = (told.get(key) for key in ("op", "site", "layer", "heads"))
    where = f"L{layer}" if type(layer) is int else ""
    if isinstance(heads, list) and heads and type(layer) is int:
        where = _heads(layer, heads)
    of_site = "" if site == "head_output" and heads else _word(site)
    words = [_word(op), where, of_site, _amount(op, told.get("value")), _at(told.get("positions"))]
    return on_one_line(" ".join(word for word in words if word))


def _amount(op: Any, value: Any) -> str:
    number = _number(value)
    if number is None and not isinstance(value, list):
        return ""
    said = f"{len(value)} values" if number is None else f"{number:g}"
    return f"{'to' if op == 'set' else 'by'} {said}"


def _at(positions: Any) -> str:
    if positions in (None, "all"):
        return ""
    return f"at {_word(positions if isinstance(positions, str) else repr(positions))}"


def _word(value: Any) -> str:
    return on_one_line(value[:_SHOWN_NAME]).strip() if isinstance(value, str) else ""


def _whole(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= LARGEST else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -LARGEST <= value <= LARGEST:
        return None
    return float(value) if math.isfinite(value) else None
