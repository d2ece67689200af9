"""A trace's document for its readers: what other programs, older versions and damage left of it is made whole here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from nanochat.traces.tensors import Positions

Number = int | float
# One of a trace's own keys is no proof: logs and spans of other programs have a trace_id, data sets have tokens.
_BESIDE_AN_ID = {"prompt", "response", "tokens", "category", "data_info"}
_TOKENS = {"input_tokens", "output_tokens"}
TOPS = "top_tokens_per_position"
LARGEST_POSITION = 1 << 53

T = TypeVar("T")


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
    """Token ids, of the prompt and those generated; their texts, None where there is not one for each.

    `forced`: of each, the prompt's first, whether the calculator chose it, or whoever forked the text.
    """

    prompt: list[int] = []
    generated: list[int] = []
    prompt_text: list[str] | None = None
    generated_text: list[str] | None = None
    forced: list[bool] = []

    @property
    def all(self) -> list[int]:
        """The ids of the whole text."""
        return self.prompt + self.generated

    @property
    def positions(self) -> Positions:
        """P and N."""
        return Positions(len(self.prompt), len(self.generated))


class Tensor(Struct):
    """What a tensor is; `shape` is None where an older file does not say."""

    shape: list[int] | None
    dtype: str


class DataInfo(Struct):
    """What a trace holds."""

    num_layers: int
    num_tokens: int
    num_steps: int
    intermediate_steps: bool
    tensors: dict[str, Tensor]


Heads = list[dict[str, float | None]]  # each metric by its key: the table of metrics says which there are


class Attention(Struct):
    """By layer: each metric that a layer sums up, and `heads`."""

    num_layers: int
    layer_stats: dict[int, dict[str, float | Heads | None]]


class Activations(Struct):
    """By layer and site: each metric by its key."""

    layer_stats: dict[int, dict[str, dict[str, float | None]]]


class Analysis(Struct):
    """The form of a stored analysis; each part is None where it was not captured."""

    attention: Attention | None = None
    activations: Activations | None = None
    logits: dict[str, Any] | None = None


class Alternative(Struct):
    """A token that could have come."""

    token: int
    text: str
    probability: float | None
    logit: float | None = None


class TokenStatistics(Struct):
    """What the logits said, an entry a token; None and no alternatives where they do not say."""

    numbers: dict[str, list[float | None]]  # each metric of tokens by its key
    top: list[list[Alternative]]

    def of(self, key: str) -> list[float | None]:
        """The numbers of a metric; None for each token where there are none."""
        return self.numbers.get(key) or [None] * len(self.top)

    surprisal = property(lambda self: self.of("surprisal_per_token"))
    probability = property(lambda self: self.of("sampled_probability"))
    entropy = property(lambda self: self.of("entropy_per_position"))


class Document(Struct, dict=True):
    """A trace's document. `raw` is all of it as it stands in the file, with other programs' keys and exact numbers.

    A text that is none is "", any other value of the wrong form None or empty.
    """

    raw: Mapping[str, Any]
    timestamp: str
    prompt: str
    response: str
    category: str | None
    metadata: dict[str, Any]
    messages: list[Any]
    model: dict[str, Any] | None
    generation: dict[str, Any] | None
    tokens: Tokens

    @property
    def config(self) -> dict[str, Any] | None:
        """The model's own configuration."""
        return _mapping((self.model or {}).get("config"))

    @property
    def era(self) -> str:
        """The model's architecture."""
        return _text((self.model or {}).get("era"))

    @property
    def parent(self) -> str:
        """The id of the trace that it was made from, or what stands there; "" where it tells none."""
        return _text(self.raw.get("parent")) or _text(self.metadata.get("parent"))

    @property
    def position(self) -> int | None:
        """Where its parent was forked; None where it is no fork."""
        found = self.raw.get("position")
        return found if type(found) is int and 0 <= found < LARGEST_POSITION else None

    @property
    def forced(self) -> list[int]:
        """The positions whose tokens a fork put there."""
        found = [item for item in _list(self.raw.get("forced")) if type(item) is int]
        return [item for item in found if 0 <= item < LARGEST_POSITION]

    @property
    def interventions(self) -> list[dict[str, Any]]:
        """What was changed while it was made, as data."""
        return [item for item in _list(self.raw.get("interventions")) if isinstance(item, dict)]

    @property
    def touched(self) -> list[int]:
        """How many positions each intervention touched."""
        return [item for item in _list(self.raw.get("touched")) if type(item) is int]

    @cached_property
    def sizes(self) -> Model | None:
        """The model, where its sizes are all told."""
        return _of_form(self.model, Model)

    @cached_property
    def run(self) -> Generation | None:
        """How the generation went, where all of that is told."""
        return _of_form(self.generation, Generation)

    @cached_property
    def data_info(self) -> dict[str, Any] | None:
        """The summary of the tensors that stands in the file, where it is of our form."""
        found = self.raw.get("data_info")
        return None if _of_form(found, DataInfo) is None else found

    @cached_property
    def analysis(self) -> dict[str, Any] | None:
        """The stored analysis, keys of newer versions included, where it is of our form; None: compute it."""
        found = _mapping(self.raw.get("analysis"))
        form = _of_form(found, Analysis) if found else None
        if form is None or (form.attention and not all(map(_has_heads, form.attention.layer_stats.values()))):
            return None
        return found

    @cached_property
    def logits(self) -> dict[str, Any] | None:
        """The stored statistics of the logits; their lists may lack entries: see `generated_statistics`."""
        return _mapping((_mapping(self.raw.get("analysis")) or {}).get("logits"))


def is_trace(document: Mapping[str, Any]) -> bool:
    """Whether a document is a trace's, whatever program wrote it."""
    tokens = document.get("tokens")
    named = "trace_id" in document and bool(document.keys() & _BESIDE_AN_ID)
    return named or (isinstance(tokens, dict) and bool(tokens.keys() & _TOKENS))


def read_document(raw: Mapping[str, Any]) -> Document:
    """The document of a trace, whole, whoever wrote it and whatever became of it."""
    category = raw.get("category")
    return Document(
        raw=raw,
        timestamp=_text(raw.get("timestamp")),
        prompt=_text(raw.get("prompt")),
        response=_text(raw.get("response")),
        category=category if isinstance(category, str) else None,
        metadata=_mapping(raw.get("metadata")) or {},
        messages=_list(raw.get("messages")),
        model=_mapping(raw.get("model")),
        generation=_mapping(raw.get("generation")),
        tokens=read_tokens(raw),
    )


def read_tokens(raw: Mapping[str, Any]) -> Tokens:
    """The tokens of a document."""
    tokens = _mapping(raw.get("tokens"))
    if tokens is None:
        return Tokens()
    prompt, generated = _ids(tokens.get("input_tokens")), _ids(tokens.get("output_tokens"))
    return Tokens(
        prompt,
        generated,
        _texts(tokens.get("input_text"), len(prompt)),
        _texts(tokens.get("output_text"), len(generated)),
        _last(tokens.get("forced"), len(prompt) + len(generated)),
    )


def prompt_statistics(logits: Mapping[str, Any], count: int) -> TokenStatistics:
    """What an analysis's `logits` say of each of so many tokens of the prompt."""
    return generated_statistics(_mapping(logits.get("prompt")) or {}, count)


def generated_statistics(logits: Mapping[str, Any], count: int) -> TokenStatistics:
    """What an analysis's `logits` say of each of so many generated tokens."""
    numbers = {
        key: _each(value, count, float) for key, value in logits.items() if isinstance(value, list) and key != TOPS
    }
    return TokenStatistics(numbers, [found or [] for found in _each(logits.get(TOPS), count, list[Alternative])])


def _of_form(value: Any, form: type[T]) -> T | None:
    try:
        return msgspec.convert(value, form, str_keys=True)
    except (msgspec.ValidationError, OverflowError):
        return None


def _has_heads(layer: dict[str, Any]) -> bool:
    """Whether `heads` is a list, where there are any."""
    return isinstance(layer.get("heads", []), list)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _ids(value: Any) -> list[int]:
    """Token ids; older files nest them in a list of one."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        value = value[0]
    return [token for token in _list(value) if isinstance(token, int)]


def _texts(value: Any, count: int) -> list[str] | None:
    texts = _list(value)
    return texts if len(texts) == count and all(isinstance(text, str) for text in texts) else None


def _last(value: Any, count: int) -> list[bool]:
    """So many truths; a shorter list is that of the last tokens."""
    known = [bool(item) for item in _list(value)][-count:] if count else []
    return [False] * (count - len(known)) + known


def _each(value: Any, count: int, form: type[T]) -> list[T | None]:
    """So many values of a form; None where there is none."""
    values = _list(value)[:count]
    found = _of_form(values, list[form | None])  # mostly all are: one by one takes longer
    return (found or [_of_form(value, form) for value in values]) + [None] * (count - len(values))
