"""The analysis of a trace that carries none: of older files and of other programs' files."""

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nanochat.analysis.attention import layer_attention
from nanochat.analysis.logits import logits_analysis
from nanochat.analysis.registry import HEAD_METRICS
from nanochat.analysis.whole import analyze
from nanochat.eras import ERAS
from nanochat.errors import CancelledError
from nanochat.gpt_config import GPTConfig, config_problem
from nanochat.traces.document import Document
from nanochat.traces.trace import Trace

LARGEST_VOCABULARY = 1 << 31
WEIGHTS = "attention_weights"


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


def with_new_metrics(trace: Trace, analysis: dict[str, Any], cancel: threading.Event | None = None) -> dict[str, Any]:
    """A trace's stored analysis, with the numbers of those head metrics that it was made without.

    Returns:
        The analysis itself where it lacks none, and where the weights are not there or do not fit it.

    Raises:
        TraceUnreadableError: a tensor's bytes are damaged. CancelledError: `cancel` was set.
    """
    stored = (analysis.get("attention") or {}).get("layer_stats", {})
    missing = {layer: lacking for layer, stats in stored.items() if (lacking := _lacking(stats))}
    if not missing:
        return analysis
    tokens, prompt_length, config = _terms(trace)
    tensors = _FittingTensors(trace, tokens, prompt_length, config, cancel)
    windows = None if config is None else config.windows()
    layers = dict(stored)
    for layer, keys in missing.items():
        name = f"{WEIGHTS}.layer_{layer}"
        if name not in tensors:
            continue
        found = layer_attention(tensors[name], int(layer), np.asarray(tokens, np.int64), windows, keys)
        if len(found["heads"]) == len(stored[layer]["heads"]):
            layers[layer] = _joined(stored[layer], found)
    return {**analysis, "attention": {**analysis["attention"], "layer_stats": layers}}


def _lacking(stats: Mapping[str, Any]) -> list[str]:
    """The keys of the metrics that a layer's heads have no number of, not even null."""
    return [key for key in HEAD_METRICS if any(key not in head for head in stats.get("heads", ()))]


def _joined(stored: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    heads = [new | old for new, old in zip(found["heads"], stored["heads"], strict=True)]
    return {**found, **stored, "heads": heads}


def recompute_logits(
    trace: Trace, token_text: Callable[[int], str], cancel: threading.Event | None = None
) -> dict[str, Any]:
    """The `logits` of `recompute_analysis` alone. Errors as there."""
    tokens, prompt_length, config = _terms(trace)
    tensors = _FittingTensors(trace, tokens, prompt_length, config, cancel)
    vocab_size = None if config is None else config.vocab_size
    return logits_analysis(tensors, np.asarray(tokens, np.int64), prompt_length, _forgiving(token_text), vocab_size)


def _terms(trace: Trace) -> tuple[list[int], int, GPTConfig | None]:
    """A trace's token ids, how many of them are the prompt's, and its model, as far as it says."""
    prompt, generated = trace.fields.tokens.prompt, trace.fields.tokens.generated
    if not all(0 <= token < LARGEST_VOCABULARY for token in prompt + generated):
        prompt, generated = [], []
    return prompt + generated, len(prompt), _model_config(trace.fields)


def _forgiving(token_text: Callable[[int], str]) -> Callable[[int], str]:
    def text(token: int) -> str:
        try:
            return token_text(token)
        except (KeyError, OverflowError):
            return f"<{token}>"

    return text


def _model_config(document: Document) -> GPTConfig | None:
    """The model that a trace says it is of; None where it does not say, or not in our terms."""
    config, era = document.config, document.era
    if config is None or era not in ERAS or config_problem(config):
        return None
    return GPTConfig.of(config, era=era)


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
