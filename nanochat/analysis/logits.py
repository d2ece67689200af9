"""What the logits say of each token. A new metric is one function under `@token_metric`."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from nanochat.analysis.logit_rows import LogitRows, bits, softmax_summary
from nanochat.analysis.moments import Moments, moments, plain_number, plain_numbers, pooled
from nanochat.analysis.registry import TOKEN_METRICS, token_metric
from nanochat.traces.document import TOPS

TOP_TOKENS = 5
CHUNK_ELEMENTS = 1 << 16  # logits widened to float64 at a time
CHUNK_ROWS = 256
TokenText = Callable[[int], str]
Statistics = dict[str, Any]

# In the order of listings: a new one goes last.


@token_metric("entropy_per_position", label="Entropy", unit="nats")
def entropy_per_position(rows: LogitRows) -> np.ndarray:
    """Entropy of the distribution that the token was drawn from, at temperature 1.

    (n,), in nats. NaN where not every logit was kept.
    """
    return rows.entropy


@token_metric("surprisal_per_token", label="Surprisal", unit="bits")
def surprisal_per_token(rows: LogitRows) -> np.ndarray:
    """How surprising the token was: -log2 of its probability at temperature 1.

    (n,), in bits. NaN where its logit was not kept.
    """
    return bits(rows.log_probability)


@token_metric("sampled_probability", label="Probability", short="p", span=(0.0, 1.0), of_prompt=False)
def sampled_probability(rows: LogitRows) -> np.ndarray:
    """Probability of the token at temperature 1.

    (n,). NaN where its logit was not kept.
    """
    return np.exp(rows.log_probability)


def logits_analysis(
    tensors: Mapping[str, np.ndarray],
    tokens: np.ndarray,
    prompt_length: int,
    token_text: TokenText,
    vocab_size: int | None,
) -> Statistics:
    """Statistics of the generated tokens; with rows for the prompt as well, `prompt` holds those of its own tokens.

    Each list's entry i concerns token i and the distribution it was drawn from, so the prompt's entry 0 is None (and
    has no top tokens). mean_logit and std_logit cover the generated tokens' rows.
    """
    columns, statistics = _captured_logits(tensors, vocab_size)
    if not columns:
        return join_statistics([])

    def between(first_row: int, followers: np.ndarray) -> Statistics:
        rows = slice(first_row, first_row + len(followers))
        return statistics(*(column[rows] for column in columns), followers, token_text)

    generated = tokens[prompt_length:]
    if len(columns[0]) == len(generated):
        return between(0, generated)
    fed = prompt_length + max(len(generated), 1) - 1  # older files have a row after the last token too
    assert len(columns[0]) in (fed, len(tokens)), "rows for the generated tokens, or for all"
    prompt = between(0, tokens[1:prompt_length])
    return between(prompt_length - 1, generated) | {"prompt": of_prompt(prompt)}


def of_prompt(statistics: Statistics) -> Statistics:
    """The prompt's part of `analysis.logits`: of its tokens but the first, which nothing foretold, and of that."""
    keys = [row.key for row in TOKEN_METRICS.values() if row.of_prompt]
    return {key: [None, *statistics[key]] for key in keys} | {TOPS: [[], *statistics[TOPS]]}


def _captured_logits(
    tensors: Mapping[str, np.ndarray], vocab_size: int | None
) -> tuple[list[np.ndarray], Callable[..., Statistics]]:
    """The arrays with a row for each position, and the function that reads them; no arrays if none were captured."""
    names = set(tensors)  # a lazy mapping may read a tensor just to say whether it has it
    if "output_logits" in names:
        return [np.asarray(tensors["output_logits"])[0]], logits_statistics
    parts = [f"output_logits.{part}" for part in ("values", "indices", "log_sum_exp")]
    columns = [np.asarray(tensors[part])[0] for part in parts] if names.issuperset(parts) else []
    return columns, partial(top_logits_statistics, vocab_size=vocab_size)


def logits_statistics(logits_rows: np.ndarray, next_tokens: Sequence[int], token_text: TokenText) -> Statistics:
    """The statistics of full rows of logits, all at temperature 1.

    logits_rows (n, vocab); next_tokens: the n tokens that followed. Gives mean_logit and std_logit over all rows, and
    n-long lists: entropy_per_position (nats, of the softmax), top_tokens_per_position (five of {token, text, logit,
    probability}, the likeliest first, equal logits by token id), surprisal_per_token (bits, -log2 p) and
    sampled_probability (p of the token that followed). A row with NaN has None, and no top tokens.
    """
    assert len(logits_rows) == len(next_tokens), "one following token for each row of logits"
    step = max(1, min(CHUNK_ROWS, CHUNK_ELEMENTS // max(1, logits_rows.shape[1])))
    followers = np.asarray(next_tokens, dtype=np.int64)
    return join_statistics(
        [
            _chunk_statistics(logits_rows[start : start + step], followers[start : start + step], token_text)
            for start in range(0, len(logits_rows), step)
        ]
    )


def token_statistics(logits_row: np.ndarray, token: int) -> dict[str, float | None]:
    """One position while it is generated: {surprisal (bits), probability, entropy (nats)}; logits_row is (vocab,)."""
    log_sum_exp, entropy = softmax_summary(np.asarray(logits_row, np.float64)[None])
    log_probability = np.array([logits_row[token]], np.float64) - log_sum_exp
    return {
        "surprisal": plain_number(bits(log_probability)[0]),
        "probability": plain_number(np.exp(log_probability[0])),
        "entropy": plain_number(entropy[0]),
    }


def top_tokens(logits_row: np.ndarray, token_text: TokenText) -> list[dict[str, Any]]:
    """The five likeliest at one position while it is generated, as in `logits_statistics`; logits_row is (vocab,)."""
    row = np.asarray(logits_row, np.float64)
    log_sum_exp, _ = softmax_summary(row[None])
    return _row_top_tokens(np.asarray(logits_row), row, log_sum_exp[0], token_text)


@np.errstate(invalid="ignore")
def top_logits_statistics(
    values: np.ndarray,
    indices: np.ndarray,
    log_sum_exp: np.ndarray,
    next_tokens: Sequence[int],
    token_text: TokenText,
    vocab_size: int | None = None,
) -> Statistics:
    """The same statistics from the K highest logits of each row: values and indices (n, K), log_sum_exp (n,).

    A token outside the K has surprisal and probability None. Entropy, mean_logit and std_logit need every logit: they
    are None unless K equals vocab_size.
    """
    if values.shape[1] == vocab_size:
        rows = np.empty(values.shape, values.dtype)
        np.put_along_axis(rows, indices.astype(np.int64), values, axis=1)
        return logits_statistics(rows, next_tokens, token_text)
    values, log_sum_exp = values.astype(np.float64), log_sum_exp.astype(np.float64)
    rows = LogitRows.highest(values, indices, log_sum_exp, np.asarray(next_tokens, np.int64))
    tops = [best_tokens(*row, token_text) for row in zip(indices, values, log_sum_exp, strict=True)]
    return {"mean_logit": None, "std_logit": None, TOPS: tops} | _metrics(rows)


def join_statistics(parts: Sequence[Statistics]) -> Statistics:
    """One set of statistics for rows that were taken in pieces of one vocabulary; none at all gives empty lists."""
    joined: Statistics = {"mean_logit": None, "std_logit": None}
    if parts and all(part["mean_logit"] is not None for part in parts):
        whole = pooled([Moments(_rows(part), part["mean_logit"], part["std_logit"] ** 2) for part in parts])
        joined |= {"mean_logit": plain_number(whole.mean), "std_logit": plain_number(math.sqrt(whole.variance))}
    return joined | {key: [value for part in parts for value in part[key]] for key in (TOPS, *TOKEN_METRICS)}


def _rows(part: Statistics) -> int:
    return len(part[TOPS])


@np.errstate(invalid="ignore")
def _chunk_statistics(logits: np.ndarray, followers: np.ndarray, token_text: TokenText) -> Statistics:
    rows = LogitRows.whole(logits, followers)
    _, mean, variance = moments(rows.logits)
    tops = [_row_top_tokens(*row, token_text) for row in zip(logits, rows.logits, rows.log_sum_exp, strict=True)]
    numbers = {"mean_logit": plain_number(mean), "std_logit": plain_number(math.sqrt(variance))}
    return numbers | {TOPS: tops} | _metrics(rows)


@np.errstate(invalid="ignore")
def _metrics(rows: LogitRows) -> Statistics:
    """Every metric of tokens, as lists."""
    count = len(rows.followers)
    return {key: plain_numbers(metric.numbers(rows, count)) for key, metric in TOKEN_METRICS.items()}


def _row_top_tokens(
    stored: np.ndarray, row: np.ndarray, log_sum_exp: np.floating, token_text: TokenText
) -> list[dict[str, Any]]:
    """Looks among the logits that reach the fifth highest: a few, or more where some are equal."""
    count = min(TOP_TOKENS, len(row))
    fifth = np.partition(stored, -count)[-count]  # in the stored type, which is narrower and so faster
    candidates = np.flatnonzero(stored >= fifth)
    return best_tokens(candidates, row[candidates], log_sum_exp, token_text)


def best_tokens(
    tokens: np.ndarray, logits: np.ndarray, log_sum_exp: np.floating, token_text: TokenText, count: int = TOP_TOKENS
) -> list[dict[str, Any]]:
    """Of tokens (K,) and their float64 logits (K,) the likeliest, as in `logits_statistics`; none where one is NaN."""
    if not math.isfinite(log_sum_exp):
        return []
    best = np.lexsort((tokens, -logits))[:count]
    probabilities = np.exp(logits[best] - log_sum_exp)
    columns = zip(tokens[best].tolist(), logits[best].tolist(), probabilities.tolist(), strict=True)
    return [
        {"token": token, "text": token_text(token), "logit": plain_number(logit), "probability": probability}
        for token, logit, probability in columns
    ]
