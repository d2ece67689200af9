"""The analysis of a trace: as stored, with the metrics that came since; computed where there is none."""

import threading
from collections.abc import Callable
from typing import Any

from nanochat.analysis.activations import activation_statistics
from nanochat.analysis.attention import layer_attention
from nanochat.analysis.fitting import FittingTensors, Terms, terms_of
from nanochat.analysis.logits import logits_analysis
from nanochat.analysis.registry import HEAD_METRICS, LAYER_METRICS, TOKEN_METRICS
from nanochat.analysis.whole import analyze
from nanochat.traces.document import TOPS
from nanochat.traces.trace import Trace


def trace_analysis(
    trace: Trace, token_text: Callable[[int], str], cancel: threading.Event | None = None
) -> dict[str, Any]:
    """A trace's analysis, as stored, keys of newer versions included; else, and of metrics that it lacks, computed.

    Raises:
        TraceUnreadableError: a tensor's bytes are damaged. CancelledError: `cancel` was set.
    """
    stored = trace.fields.analysis
    if stored is None:
        return recompute_analysis(trace, token_text, cancel)
    return with_new_metrics(trace, stored, cancel)


def recompute_analysis(
    trace: Trace, token_text: Callable[[int], str], cancel: threading.Event | None = None
) -> dict[str, Any]:
    """The analysis of a trace that carries none, from its tensors, read one at a time.

    Tensors that do not fit the trace's tokens or its model are left out; attention over fewer positions is that of the
    first tokens. A token id that the tokenizer does not have is shown as `<id>`.

    Raises:
        TraceUnreadableError: a tensor's bytes are damaged. CancelledError: `cancel` was set.
    """
    terms = terms_of(trace)
    return analyze(
        FittingTensors(trace, terms, cancel),
        tokens=terms.tokens,
        prompt_length=terms.prompt_length,
        windows=None if terms.config is None else terms.config.windows(),
        token_text=forgiving(token_text),
        vocab_size=terms.vocab_size,
    )


def trace_logits(
    trace: Trace, token_text: Callable[[int], str], cancel: threading.Event | None = None
) -> dict[str, Any]:
    """The `logits` of `trace_analysis` alone. Errors as there."""
    stored = trace.fields.logits
    lacking = [] if stored is None else _tokens_lack(stored)
    if stored is not None and not lacking:
        return stored
    terms = terms_of(trace)
    tensors = FittingTensors(trace, terms, cancel)
    if stored is not None:
        return _with_tokens(stored, lacking, tensors, terms)
    return logits_analysis(tensors, terms.ids, terms.prompt_length, forgiving(token_text), terms.vocab_size)


def with_new_metrics(trace: Trace, analysis: dict[str, Any], cancel: threading.Event | None = None) -> dict[str, Any]:
    """A trace's stored analysis, with the numbers of those metrics that it was made without.

    Returns:
        The analysis itself where it lacks none, and where the tensors are not there or do not fit it.

    Raises:
        TraceUnreadableError: a tensor's bytes are damaged. CancelledError: `cancel` was set.
    """
    lacking = {part: missing for part, lacks in LACKING.items() if (missing := lacks(analysis.get(part) or {}))}
    if not lacking:
        return analysis
    terms = terms_of(trace)
    tensors = FittingTensors(trace, terms, cancel)
    completed = {part: COMPLETE[part](analysis[part], missing, tensors, terms) for part, missing in lacking.items()}
    return analysis | completed


def _heads_lack(attention: dict[str, Any]) -> dict[str, list[str]]:
    """By layer, the keys of the metrics that its heads have no number of, not even null."""
    lacking = {
        layer: [key for key in HEAD_METRICS if any(key not in head for head in stats.get("heads", ()))]
        for layer, stats in attention.get("layer_stats", {}).items()
    }
    return {layer: keys for layer, keys in lacking.items() if keys}


def _with_heads(
    attention: dict[str, Any], lacking: dict[str, list[str]], tensors: FittingTensors, terms: Terms
) -> dict[str, Any]:
    windows = None if terms.config is None else terms.config.windows()
    layers = dict(attention["layer_stats"])
    for layer, keys in lacking.items():
        name = f"attention_weights.layer_{layer}"
        if name not in tensors:
            continue
        stored, found = layers[layer], layer_attention(tensors[name], int(layer), terms.ids, windows, keys)
        if len(found["heads"]) == len(stored["heads"]):
            heads = [new | old for new, old in zip(found["heads"], stored["heads"], strict=True)]
            layers[layer] = found | stored | {"heads": heads}
    return attention | {"layer_stats": layers}


def _sites_lack(activations: dict[str, Any]) -> dict[tuple[str, str], list[str]]:
    """By layer and site, the keys of the metrics that it has no number of, not even null."""
    lacking = {
        (layer, site): [key for key in LAYER_METRICS if key not in numbers]
        for layer, sites in activations.get("layer_stats", {}).items()
        for site, numbers in sites.items()
    }
    return {place: keys for place, keys in lacking.items() if keys}


def _with_sites(
    activations: dict[str, Any], lacking: dict[tuple[str, str], list[str]], tensors: FittingTensors, terms: Terms
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
    has_tokens = isinstance(logits.get(TOPS), list) and logits[TOPS]
    return [key for key in TOKEN_METRICS if key not in logits] if has_tokens else []


def _with_tokens(logits: dict[str, Any], lacking: list[str], tensors: FittingTensors, terms: Terms) -> dict[str, Any]:
    found = logits_analysis(tensors, terms.ids, terms.prompt_length, str, terms.vocab_size)
    if len(found[TOPS]) != len(logits[TOPS]):
        return logits
    new = {key: found[key] for key in lacking}
    prompt, of_prompt = logits.get("prompt"), found.get("prompt")
    if isinstance(prompt, dict) and isinstance(of_prompt, dict):
        new["prompt"] = {key: of_prompt[key] for key in lacking if key in of_prompt} | prompt
    return logits | new


LACKING: dict[str, Callable[[dict[str, Any]], Any]] = {
    "attention": _heads_lack,
    "activations": _sites_lack,
    "logits": _tokens_lack,
}
COMPLETE: dict[str, Callable[[dict[str, Any], Any, FittingTensors, Terms], dict[str, Any]]] = {
    "attention": _with_heads,
    "activations": _with_sites,
    "logits": _with_tokens,
}


def forgiving(token_text: Callable[[int], str]) -> Callable[[int], str]:
    """The same, with `<id>` for a token id that the tokenizer does not have."""

    def text(token: int) -> str:
        try:
            return token_text(token)
        except (KeyError, OverflowError):
            return f"<{token}>"

    return text
