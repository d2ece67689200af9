"""What setting two traces side by side would take, said before they are read."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from nanochat.analysis.alignment import Pair, head_divergence
from nanochat.traces.trace import Trace
from nanochat.why.difference import Names, compared_heads, compared_sites, distances, rows_of

SAMPLE = 256  # positions that are read to see how fast it goes
SITE_BYTES = 32  # of each value of a site: as read, as float64, the rows that are paired, and what comes of them
TOKEN_BYTES = 2000  # of each token: its texts, its numbers, and its place in the answer
WEIGHT_BYTES, HEAD_BYTES = 4, 48  # of each weight of a layer, as read; of each of a head, as float64, some at once


def difference_cost(a: Trace, b: Trace) -> tuple[int, float]:
    """Bytes of memory, and seconds, both about; the time is by what the first positions of a head and a site take.

    Raises:
        TraceUnreadableError: a tensor's bytes are damaged.
    """
    heads = [names for _, _, names in compared_heads(a, b)]
    sites = [names for *_, names in compared_sites(a, b)]
    sizes = [_layer_bytes(a, b, names) for names in heads] + [SITE_BYTES * _values(a, b, names) for names in sites]
    size = max(sizes, default=0) + TOKEN_BYTES * sum(len(trace.fields.tokens.all) for trace in (a, b))
    return size, _seconds(a, b, heads, _sampled_head) + _seconds(a, b, sites, _sampled_site)


def _values(a: Trace, b: Trace, names: Names) -> int:
    """How many both tensors have."""
    return a.infos()[names[0]].size + b.infos()[names[1]].size


def _layer_bytes(a: Trace, b: Trace, names: Names) -> int:
    in_head = max(trace.infos()[name].size // trace.shape(name)[1] for trace, name in zip((a, b), names, strict=True))
    return WEIGHT_BYTES * _values(a, b, names) + HEAD_BYTES * 2 * in_head


def _seconds(a: Trace, b: Trace, parts: Sequence[Names], sampled: Callable[[Trace, Trace, Names], int]) -> float:
    """Of all parts, by what a sample of the first takes; `sampled` reads it, and tells of how many values it is."""
    if not parts:
        return 0.0
    started = time.perf_counter()
    values = sampled(a, b, parts[0])
    taken = time.perf_counter() - started
    return taken * sum(_values(a, b, names) for names in parts) / max(values, 1)


def _sampled_head(a: Trace, b: Trace, names: Names) -> int:
    first = slice(0, SAMPLE)
    one, other = (trace.tensor(name, (0, slice(0, 1), first, first)) for trace, name in zip((a, b), names, strict=True))
    head_divergence(one, other, _paired(one.shape[-1], other.shape[-1]))
    return one.size + other.size


def _sampled_site(a: Trace, b: Trace, names: Names) -> int:
    one, other = (rows_of(trace, name, SAMPLE) for trace, name in zip((a, b), names, strict=True))
    distances(one, other, _paired(len(one), len(other)))
    return one.size + other.size


def _paired(a: int, b: int) -> list[Pair]:
    return [Pair(place, place, same=True) for place in range(min(a, b))]
