"""Whether a trace has all that the demo shows of it: other programs write traces too, with less in them."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from nanochat.errors import TraceUnreadableError
from nanochat.traces.document import Document, Generation, Heads, Model, Number


class ShownTokens(Struct):
    """The texts of all tokens, and which ones the calculator chose."""

    input_text: list[str]
    output_text: list[str]
    forced: list[Any] | None = None


class ShownAttention(Struct):
    """By layer: its numbers, and its heads'."""

    layer_stats: dict[int, dict[str, Number | Heads | None]]


class ShownSite(Struct):
    """A site's numbers in one layer."""

    mean: Number | None = None
    std: Number | None = None
    sparsity: Number | None = None


class ShownActivations(Struct):
    """By layer and site."""

    layer_stats: dict[int, dict[str, ShownSite | None]]


class ShownToken(Struct):
    """One of a position's likeliest."""

    text: str
    probability: Number


class ShownLogits(Struct):
    """By generated token."""

    surprisal_per_token: list[Number | None]
    sampled_probability: list[Number | None]
    entropy_per_position: list[Number | None]
    top_tokens_per_position: list[list[ShownToken]]


class ShownAnalysis(Struct):
    """Each part, null where it was not captured."""

    attention: ShownAttention | None
    activations: ShownActivations | None
    logits: ShownLogits | None


class Shown(Struct):
    """All of it."""

    prompt: str
    response: str
    model: Model
    generation: Generation
    tokens: ShownTokens
    analysis: ShownAnalysis


def check_complete(document: Document, trace_id: str) -> None:
    """Raise TraceUnreadableError for a trace of another program, which lacks what is shown here."""
    try:
        found = msgspec.convert(document.raw, Shown, str_keys=True)
    except msgspec.ValidationError as error:
        raise _of_another(trace_id, str(error)) from error
    attention, logits = found.analysis.attention, found.analysis.logits
    for number, layer in attention.layer_stats.items() if attention else ():
        if not isinstance(layer.get("heads"), list):
            raise _of_another(trace_id, f"Expected `array` - at `$.analysis.attention.layer_stats.{number}.heads`")
    if logits is None or not logits.surprisal_per_token:  # no logits were captured
        return
    for name in ShownLogits.__struct_fields__:
        if len(getattr(logits, name)) < len(found.tokens.output_text):
            raise _of_another(trace_id, f"Too few values - at `$.analysis.logits.{name}`")


def _of_another(trace_id: str, lacking: str) -> TraceUnreadableError:
    return TraceUnreadableError(
        f"The trace {trace_id} lacks what is shown here ({lacking}), so another program wrote it: "
        "`nanoscope analyze` shows what can be worked out from it."
    )
