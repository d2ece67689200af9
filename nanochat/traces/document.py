"""What the demo shows of a trace's document: other programs write traces too, with less in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from nanochat.errors import TraceUnreadableError

Number = int | float
# One of a trace's own keys is no proof: logs and spans of other programs have a trace_id, data sets have tokens.
_BESIDE_AN_ID = {"prompt", "response", "tokens", "category", "data_info"}
_TOKENS = {"input_tokens", "output_tokens"}


class Config(Struct):
    """The model's sizes."""

    n_layer: int
    n_head: int
    n_embd: int


class Model(Struct):
    """Which model."""

    config: Config
    era: str
    parameters: Number


class Timings(Struct):
    """Seconds of each part."""

    prefill_seconds: Number
    decode_seconds: Number
    analysis_seconds: Number


class Generation(Struct):
    """How it ended."""

    stop_reason: str
    timings: Timings | None = None


class Tokens(Struct):
    """The texts of all tokens, and which ones the calculator chose."""

    input_text: list[str]
    output_text: list[str]
    forced: list[Any] | None = None


class Head(Struct):
    """One head's numbers, null where there are none."""

    attention_entropy: Number | None = None
    attention_entropy_normalised: Number | None = None
    induction: Number | None = None
    previous_token: Number | None = None
    duplicate_token: Number | None = None
    sink: Number | None = None


class AttentionLayer(Struct):
    """A layer's heads, and what they are on average."""

    heads: list[Head]
    attention_entropy: Number | None = None
    attention_entropy_normalised: Number | None = None
    head_sparsity: Number | None = None


class Attention(Struct):
    """By layer."""

    layer_stats: dict[int, AttentionLayer]


class Site(Struct):
    """A site's numbers in one layer."""

    mean: Number | None = None
    std: Number | None = None
    sparsity: Number | None = None


class Activations(Struct):
    """By layer and site."""

    layer_stats: dict[int, dict[str, Site | None]]


class TopToken(Struct):
    """One of a position's likeliest."""

    text: str
    probability: Number


class Logits(Struct):
    """By generated token."""

    surprisal_per_token: list[Number | None]
    sampled_probability: list[Number | None]
    entropy_per_position: list[Number | None]
    top_tokens_per_position: list[list[TopToken]]


class Analysis(Struct):
    """Each part, null where it was not captured."""

    attention: Attention | None
    activations: Activations | None
    logits: Logits | None


class Document(Struct):
    """All of it."""

    prompt: str
    response: str
    model: Model
    generation: Generation
    tokens: Tokens
    analysis: Analysis


def check_complete(document: Mapping[str, Any], trace_id: str) -> None:
    """Raise TraceUnreadableError for a trace of another program, which lacks what is shown here."""
    try:
        found = msgspec.convert(document, Document, str_keys=True)
    except msgspec.ValidationError as error:
        raise _of_another(trace_id, str(error)) from error
    logits = found.analysis.logits
    if logits is None or not logits.surprisal_per_token:  # no logits were captured
        return
    for name in Logits.__struct_fields__:
        if len(getattr(logits, name)) < len(found.tokens.output_text):
            raise _of_another(trace_id, f"Too few values - at `$.analysis.logits.{name}`")


def _of_another(trace_id: str, lacking: str) -> TraceUnreadableError:
    return TraceUnreadableError(
        f"The trace {trace_id} lacks what is shown here ({lacking}), so another program wrote it: "
        "`nanoscope analyze` shows what can be worked out from it."
    )


def is_trace(document: Mapping[str, Any]) -> bool:
    """Whether a document is a trace's, whatever program wrote it."""
    tokens = document.get("tokens")
    named = "trace_id" in document and bool(document.keys() & _BESIDE_AN_ID)
    return named or (isinstance(tokens, dict) and bool(tokens.keys() & _TOKENS))
