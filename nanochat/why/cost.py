"""What a question would take, said before it is asked in earnest."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from nanochat.gpt import GPT
from nanochat.why.ablation import ablation_scan, check_scan, scan_bytes, scan_tokens
from nanochat.why.anatomy import attribute_logits, attribution_bytes
from nanochat.why.lens import costs, lens_bytes, lens_points, logit_lens
from nanochat.why.patching.exact import KEYS_AT_ONCE, TOKENS_AT_ONCE
from nanochat.why.reading import read_forward

SAMPLE = 8  # positions that are read to see how fast it goes


@dataclass(frozen=True)
class Cost:
    """Forwards of the whole text, bytes of memory beside the model's, and seconds; the last two are estimates."""

    forwards: int
    bytes: int
    seconds: float


def lens_cost(model: GPT, tokens: Sequence[int], positions: int, layers: Sequence[int] | None) -> Cost:
    """Of a logit lens, from the time that its first positions take.

    Raises: as `logit_lens`.
    """
    points, sample = len(lens_points(model.config, layers)), tokens[:SAMPLE]
    started = time.perf_counter()
    logit_lens(model, sample, layers=layers)
    seconds = time.perf_counter() - started
    share = sum(costs(model, len(tokens), positions, points)) / sum(costs(model, len(sample), len(sample), points))
    return Cost(1, lens_bytes(model, len(tokens), positions, points), seconds * share)


def attribution_cost(model: GPT, tokens: Sequence[int], position: int) -> Cost:
    """Of a logit's anatomy, from the time that one of the first positions takes.

    Raises: as `attribute_logits`.
    """
    sample = tokens[: min(SAMPLE, position + 1)]
    started = time.perf_counter()
    attribute_logits(model, sample, len(sample) - 1, 0)
    seconds = time.perf_counter() - started
    share = costs(model, position + 1, 1, 0)[0] / costs(model, len(sample), 1, 0)[0]
    return Cost(1, attribution_bytes(model, position + 1), seconds * share)


def patch_cost(model: GPT, tokens: Sequence[int], forwards: int) -> Cost:
    """Of a patching scan that is worth so many forwards of a prompt, from the time that its first tokens take.

    Raises: as `read_forward`.
    """
    config, sample, length = model.config, tokens[:SAMPLE], len(tokens)
    started = time.perf_counter()
    read_forward(model, sample, [len(sample) - 1], [])
    seconds = time.perf_counter() - started
    share = costs(model, length, 1, 0)[0] / costs(model, len(sample), 1, 0)[0]
    cached = 2 * config.n_kv_head * config.head_dim  # a position's keys and values in a layer
    kept = config.n_layer * length * (5 * config.n_embd + 2 * cached)  # both prompts' streams; keys and values twice
    at_once = 12 * max(TOKENS_AT_ONCE, length) * config.n_embd + max(KEYS_AT_ONCE, length) * cached
    return Cost(forwards, (kept + at_once) * model.compute_dtype.itemsize, seconds * share * forwards)


def scan_cost(model: GPT, tokens: Sequence[int], position: int, layers: Sequence[int] | None) -> Cost:
    """Of an ablation scan, from the time that one layer takes at one of the first positions.

    Raises: as `ablation_scan`.
    """
    position = check_scan(model, tokens, position, layers)
    sample = tokens[: min(SAMPLE, position + 1)]
    started = time.perf_counter()
    ablation_scan(model, sample, len(sample) - 1, layers=[0], top=1)
    seconds = time.perf_counter() - started
    whole = scan_tokens(model, position, layers)
    share = whole / scan_tokens(model, len(sample) - 1, [0])
    return Cost(-(-whole // (position + 1)), scan_bytes(model, position, layers), seconds * share)
