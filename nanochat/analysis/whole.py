"""Tensors to numbers: what every trace's `analysis` holds, computed by pure functions of arrays.

All that `analyze` returns is plain Python that JSON can hold: None where a number is not finite (a NaN in the tensors)
or not defined (no repeats).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from nanochat.analysis.activations import activation_analysis
from nanochat.analysis.attention import attention_analysis
from nanochat.analysis.head_rows import SPARSITY_THRESHOLD
from nanochat.analysis.logits import logits_analysis


def analyze(
    tensors_source: Mapping[str, np.ndarray],
    *,
    tokens: Sequence[int],
    prompt_length: int,
    windows: Sequence[int | None] | None = None,
    token_text: Callable[[int], str],
    sparsity_threshold: float = SPARSITY_THRESHOLD,
    vocab_size: int | None = None,
) -> dict[str, Any]:
    """The attention, activation and logit statistics of one trace; tensors that were not captured are left out.

    tensors_source: arrays by their dotted names, each read once, one at a time. tokens: the P prompt and N generated
    ids; prompt_length: P. windows: per layer, a query at q sees keys k with 0 <= q - k <= window, None for all.
    token_text: the text of a token id. vocab_size is needed only to recognise a top-K capture with K = vocab.
    """
    ids = np.asarray(tokens, dtype=np.int64)
    return {
        "attention": attention_analysis(tensors_source, ids, windows, sparsity_threshold),
        "activations": activation_analysis(tensors_source),
        "logits": logits_analysis(tensors_source, ids, prompt_length, cache(token_text), vocab_size),
    }
