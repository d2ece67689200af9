"""What was likely at one position: as many candidates as the trace keeps logits of, not the five of the statistics."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nanochat.analysis.fitting import FittingTensors, terms_of
from nanochat.analysis.logit_rows import softmax_summary
from nanochat.analysis.logits import best_tokens
from nanochat.analysis.stored import forgiving
from nanochat.traces.document import generated_statistics, prompt_statistics
from nanochat.traces.trace import Trace


@dataclass(frozen=True)
class Candidates:
    """The likeliest first, and how many the trace keeps of that position."""

    rows: list[dict[str, Any]]
    captured: int


def alternatives(trace: Trace, position: int, count: int, token_text: Callable[[int], str]) -> Candidates:
    """What could have come at a position, from the row of logits before it, which alone is read.

    Args:
        position: of the token that came; nothing foretold the first.
        count: how many, at most.
        token_text: for tokens that the trace itself has no text of.

    Returns:
        {token, text, logit, probability} each; none where the trace keeps no logits of that position.

    Raises:
        TraceUnreadableError: a tensor's bytes are damaged.
    """
    found = _row(trace, position)
    if found is None:
        return Candidates([], 0)
    tokens, logits, log_sum_exp = found
    known = _known_texts(trace)
    text = forgiving(token_text)
    rows = best_tokens(tokens, logits, log_sum_exp, lambda token: known.get(token) or text(token), count)
    return Candidates(rows, len(tokens))


def _row(trace: Trace, position: int) -> tuple[np.ndarray, np.ndarray, np.floating] | None:
    """(K,) token ids, (K,) float64 logits, and the log-sum-exp of all logits; None where there are none."""
    terms = terms_of(trace)
    names = set(FittingTensors(trace, terms, None))
    if "output_logits" in names:
        rows = trace.shape("output_logits")[1]
        row = position - (terms.prompt_length if rows == len(terms.tokens) - terms.prompt_length else 1)
        if not 0 <= row < rows:
            return None
        logits = trace.tensor("output_logits", (0, slice(row, row + 1))).astype(np.float64)
        return np.arange(logits.shape[1]), logits[0], softmax_summary(logits)[0][0]
    parts = [f"output_logits.{part}" for part in ("indices", "values", "log_sum_exp")]
    if not names.issuperset(parts) or not 0 < position <= trace.shape(parts[0])[1]:
        return None
    place = (0, slice(position - 1, position))
    indices, values, log_sum_exp = (trace.tensor(part, place)[0] for part in parts)
    return indices, values.astype(np.float64), np.float64(log_sum_exp)


def _known_texts(trace: Trace) -> dict[int, str]:
    """Texts of tokens, as far as the trace has them."""
    tokens, logits = trace.fields.tokens, trace.fields.logits or {}
    statistics = (
        prompt_statistics(logits, len(tokens.prompt)),
        generated_statistics(logits, len(tokens.generated)),
    )
    known = {row.token: row.text for found in statistics for top in found.top for row in top}
    known |= dict(zip(tokens.prompt, tokens.prompt_text or (), strict=False))
    return known | dict(zip(tokens.generated, tokens.generated_text or (), strict=False))
