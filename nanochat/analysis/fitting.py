"""What an analysis goes by in a trace of any program: its tokens, its model, and the tensors that fit both."""

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nanochat.eras import ERAS
from nanochat.errors import CancelledError
from nanochat.gpt_config import GPTConfig, config_problem
from nanochat.traces.document import Document
from nanochat.traces.trace import Trace

LARGEST_VOCABULARY = 1 << 31


@dataclass(frozen=True)
class Terms:
    """A trace's token ids, how many of them are the prompt's, and its model, as far as it says."""

    tokens: list[int]
    prompt_length: int
    config: GPTConfig | None

    @property
    def ids(self) -> np.ndarray:
        """(P + N,) int64."""
        return np.asarray(self.tokens, np.int64)

    @property
    def vocab_size(self) -> int | None:
        return None if self.config is None else self.config.vocab_size


def terms_of(trace: Trace) -> Terms:
    """What a trace says of itself; no tokens where one of them cannot be."""
    prompt, generated = trace.fields.tokens.prompt, trace.fields.tokens.generated
    if not all(0 <= token < LARGEST_VOCABULARY for token in prompt + generated):
        prompt, generated = [], []
    return Terms(prompt + generated, len(prompt), _model_config(trace.fields))


def _model_config(document: Document) -> GPTConfig | None:
    """The model that a trace says it is of; None where it does not say, or not in our terms."""
    config, era = document.config, document.era
    if config is None or era not in ERAS or config_problem(config):
        return None
    return GPTConfig.of(config, era=era)


class FittingTensors(Mapping[str, np.ndarray]):
    """A trace's tensors, read on request, those only whose shape makes sense, of a layer that there is."""

    def __init__(self, trace: Trace, terms: Terms, cancel: threading.Event | None):
        self.trace, self.cancel = trace, cancel
        layers = None if terms.config is None else terms.config.n_layer
        self.fitting = [
            name
            for name in trace.names()
            if _fits(name, trace.shape(name), terms.tokens, terms.prompt_length) and _has_layer(name, layers)
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
