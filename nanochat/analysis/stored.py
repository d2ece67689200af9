"""The analysis of a trace that carries none: of older files and of other programs' files."""

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nanochat.analysis.activations import activation_statistics
from nanochat.analysis.attention import layer_attention
from nanochat.analysis.logits import TOPS, logits_analysis
from nanochat.analysis.registry import HEAD_METRICS, LAYER_METRICS, TOKEN_METRICS
from nanochat.analysis.whole import analyze
from nanochat.eras import ERAS
from nanochat.errors import CancelledError
from nanochat.gpt_config import GPTConfig, config_problem
from nanochat.traces.tensors import document_tokens
from nanochat.traces.trace import Trace

LARGEST_VOCABULARY = 1 << 31
WEIGHTS = "attention_weights"
Terms = tuple[list[int], int, GPTConfig | None]  # token ids, how many of them are the prompt's, the model


def recompute_analysis(
    trace: Trace, token_text: Callable[[int], str], cancel: threading.Event | None = None
) -> dict[str, Any]:
    """The analysis of a trace that carries none, from its tensors, read one at a time.

    Tensors that do not fit the trace's tokens or its model are left out; attention over fewer positions is that of the
    first tokens. A token id that the tokenizer does not have is shown as `<id>`.

    Raises:
        TraceUnreadableError: a tensor's bytes are damaged. CancelledError: `cancel` was set.
    """
    tokens, prompt_length, config = _terms(trace)
    return analyze(
        _FittingTensors(trace, tokens, prompt_length, config, cancel),
        tokens=tokens,
        prompt_length=prompt_length,
        windows=None if config is None else config.windows(),
        token_text=_forgiving(token_text),
        vocab_size=None if config is None else config.vocab_size,
    )


def with_new_metrics(trace: Trace, analysis: Any, cancel: threading.Event | None = None) -> Any:
    """A trace's stored analysis, with the numbers of those metrics that it was made without.

    Returns:
        The analysis itself where it lacks none, and where the tensors are not there or do not fit it.

    Raises:
        TraceUnreadableError: a tensor's bytes are damaged. CancelledError: `cancel` was set.
    """
    parts = {
        name: lacking
        for name, lacks in (("attention", _heads_lack), ("activations", _sites_lack), ("logits", _tokens_lack))
        if (lacking := lacks(_part(analysis, name)))
    }
    if not parts:
        return analysis
    terms = _terms(trace)
    tensors = _FittingTensors(trace, *terms, cancel)
    complete = {"attention": _with_heads, "activations": _with_sites, "logits": _with_tokens}
    return analysis | {name: complete[name](analysis[name], lacking, tensors, terms) for name, lacking in parts.items()}


def _part(analysis: Any, name: str) -> dict[str, Any]:
    part = analysis.get(name) if isinstance(analysis, dict) else None
    return part if isinstance(part, dict) else {}


def _layer_stats(part: dict[str, Any]) -> dict[str, Any]:
    """The layers of a part of an analysis; none where it is not of our form."""
    stats = part.get("layer_stats")
    return {layer: of for layer, of in stats.items() if isinstance(of, dict)} if isinstance(stats, dict) else {}


def _heads_lack(attention: dict[str, Any]) -> dict[str, list[str]]:
    """By layer, the keys of the metrics that its heads have no number of, not even null."""
    lacking = {}
    for layer, stats in _layer_stats(attention).items():
        heads = stats.get("heads")
        if isinstance(heads, list) and heads and all(isinstance(head, dict) for head in heads):
            lacking[layer] = [key for key in HEAD_METRICS if any(key not in head for head in heads)]
    return {layer: keys for layer, keys in lacking.items() if keys}


def _with_heads(
    attention: dict[str, Any], lacking: dict[str, list[str]], tensors: "_FittingTensors", terms: Terms
) -> dict[str, Any]:
    tokens, _, config = terms
    windows = None if config is None else config.windows()
    layers = dict(attention["layer_stats"])
    for layer, keys in lacking.items():
        name = f"{WEIGHTS}.layer_{layer}"
        if name not in tensors:
            continue
        found = layer_attention(tensors[name], int(layer), np.asarray(tokens, np.int64), windows, keys)
        stored = layers[layer]
        if len(found["heads"]) == len(stored["heads"]):
            heads = [new | old for new, old in zip(found["heads"], stored["heads"], strict=True)]
            layers[layer] = found | stored | {"heads": heads}
    return attention | {"layer_stats": layers}


def _sites_lack(activations: dict[str, Any]) -> dict[tuple[str, str], list[str]]:
    """By layer and site, the keys of the metrics that it has no number of, not even null."""
    lacking = {
        (layer, site): [key for key in LAYER_METRICS if key not in numbers]
        for layer, sites in _layer_stats(activations).items()
        for site, numbers in sites.items()
        if isinstance(numbers, dict)
    }
    return {place: keys for place, keys in lacking.items() if keys}


def _with_sites(
    activations: dict[str, Any], lacking: dict[tuple[str, str], list[str]], tensors: "_FittingTensors", terms: Terms
) -> dict[str, Any]:
    layers = dict(activations["layer_stats"])
    for (layer, site), keys in lacking.items():
        name = f"layer_activations.layer_{layer}.{site}"
        if name in tensors:
            numbers = activation_statistics(tensors[name], keys) | layers[layer][site]
            layers[layer] = layers[layer] | {site: numbers}
    return activations | {"layer_stats": layers}


def _tokens_lack(logits: dict[str, Any]) -> list[str]:
    """The keys of the metrics that no token has a number of, not even null."""
    known = isinstance(logits.get(TOPS), list) and logits[TOPS]
    return [key for key in TOKEN_METRICS if key not in logits] if known else []


def _with_tokens(
    logits: dict[str, Any], lacking: list[str], tensors: "_FittingTensors", terms: Terms
) -> dict[str, Any]:
    tokens, prompt_length, config = terms
    vocab_size = None if config is None else config.vocab_size
    found = logits_analysis(tensors, np.asarray(tokens, np.int64), prompt_length, str, vocab_size)
    if len(found[TOPS]) != len(logits[TOPS]):
        return logits
    new = {key: found[key] for key in lacking}
    prompt, of_prompt = logits.get("prompt"), found.get("prompt")
    if isinstance(prompt, dict) and isinstance(of_prompt, dict):
        new["prompt"] = {key: of_prompt[key] for key in lacking if key in of_prompt} | prompt
    return logits | new


def recompute_logits(
    trace: Trace, token_text: Callable[[int], str], cancel: threading.Event | None = None
) -> dict[str, Any]:
    """The `logits` of `recompute_analysis` alone. Errors as there."""
    tokens, prompt_length, config = _terms(trace)
    tensors = _FittingTensors(trace, tokens, prompt_length, config, cancel)
    vocab_size = None if config is None else config.vocab_size
    return logits_analysis(tensors, np.asarray(tokens, np.int64), prompt_length, _forgiving(token_text), vocab_size)


def _terms(trace: Trace) -> Terms:
    """A trace's token ids, how many of them are the prompt's, and its model, as far as it says."""
    prompt, generated = document_tokens(trace.document)
    if not all(0 <= token < LARGEST_VOCABULARY for token in prompt + generated):
        prompt, generated = [], []
    return prompt + generated, len(prompt), _model_config(trace.document)


def _forgiving(token_text: Callable[[int], str]) -> Callable[[int], str]:
    def text(token: int) -> str:
        try:
            return token_text(token)
        except (KeyError, OverflowError):
            return f"<{token}>"

    return text


def _model_config(document: Mapping[str, Any]) -> GPTConfig | None:
    """The model that a trace says it is of; None where it does not say, or not in our terms."""
    model = document.get("model")
    config = model.get("config") if isinstance(model, dict) else None
    if not isinstance(model, dict) or not isinstance(config, dict) or model.get("era") not in ERAS:
        return None
    return None if config_problem(config) else GPTConfig.of(config, era=model["era"])


class _FittingTensors(Mapping[str, np.ndarray]):
    """A trace's tensors, read on request, those only whose shape makes sense, of a layer that there is."""

    def __init__(
        self,
        trace: Trace,
        tokens: list[int],
        prompt_length: int,
        config: GPTConfig | None,
        cancel: threading.Event | None,
    ):
        self.trace, self.cancel = trace, cancel
        layers = None if config is None else config.n_layer
        self.fitting = [
            name
            for name in trace.names()
            if _fits(name, trace.shape(name), tokens, prompt_length) and _has_layer(name, layers)
        ]

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.fitting:
            raise KeyError(name)
        if self.cancel is not None and self.cancel.is_set():
            raise CancelledError("Cancelled: the analysis was stopped.")
        return self.trace.tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.fitting)

    def __len__(self) -> int:
        return len(self.fitting)


def _fits(name: str, shape: Sequence[int], tokens: list[int], prompt_length: int) -> bool:
    """Older files may hold the prompt's rows alone, or one for the last token too."""
    if not shape or shape[0] != 1:
        return False
    generated = len(tokens) - prompt_length
    positions = prompt_length + max(generated, 1) - 1
    if name.startswith("attention_weights."):
        return len(shape) == 4 and shape[1] > 0 and 0 < shape[2] == shape[3] <= len(tokens)
    if name == "output_logits":
        rows = {generated, positions, len(tokens)} if prompt_length else {generated}
        return len(shape) == 3 and shape[1] in rows and max(tokens, default=-1) < shape[2]
    if name.startswith("output_logits."):
        return len(shape) >= 2 and prompt_length > 0 and shape[1] == positions
    return len(shape) >= 3 and min(shape) > 0


def _has_layer(name: str, layers: int | None) -> bool:
    match = re.search(r"\.layer_(\d+)", name)
    return match is None or layers is None or int(match[1]) <= layers - (name.startswith("attention_weights."))
