"""One token of every row again and again: by plain forwards, or on a GPU by one that is recorded and repeated."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from nanochat.attention import DeviceSpan
from nanochat.capture.tap import Edit, SiteLayer, Tap
from nanochat.gpt import GPT
from nanochat.kv_cache import KVCache
from nanochat.model_turn import turn_of

_LAUNCHING = threading.RLock()  # recordings share their memory: none may run between another one and its results
BLOCK = 256  # keys: a recorded forward looks at a multiple of them, whatever max_tokens is


def is_repeated(model: Any, device: torch.device) -> bool:
    """Whether tokens are decoded by a recorded forward: nanochat's own model on CUDA, and nobody hooks into it.

    A repeated forward runs no Python, hooks neither.
    """
    return device.type == "cuda" and isinstance(model, GPT) and not _has_hooks(model)


def _has_hooks(model: GPT) -> bool:
    return any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def whole_blocks(positions: int, model: GPT) -> int:
    """How many positions a recorded forward looks at, and its cache has room for, where `positions` are needed."""
    return min(-(-positions // BLOCK) * BLOCK, model.config.max_positions)


def decoder(model: Any, kv_cache: KVCache) -> Callable[[Tensor], Tensor]:
    """What decodes the tokens after those that the cache holds: ids (B, 1) to logits (B, 1, vocab)."""
    if is_repeated(model, kv_cache.k_cache.device):
        return RepeatedForward(model, kv_cache)
    return partial(model.forward, kv_cache=kv_cache)


class RepeatedForward:
    """Decodes with a CUDA graph: a model's operations, hundreds a token, are launched as one.

    Launched one by one from Python they take a GPU many times as long as they run. The first token runs as it is,
    the second is recorded, and from then on the recording is repeated; it begins anew when the keys outgrow the
    block that it looks at, or when a capture or an edit begins or ends. The recording writes what is captured to the
    recorders' buffers itself.

    Args:
        model: on CUDA.
        kv_cache: with the prompt in it, and room for a multiple of BLOCK.
    """

    def __init__(self, model: GPT, kv_cache: KVCache):
        self.model, self.kv_cache = model, kv_cache
        self._standing = list(kv_cache.positions)  # what the device's positions are
        self._positions = torch.tensor(self._standing, device=kv_cache.k_cache.device)[:, None]
        self._ids = torch.zeros_like(self._positions)
        if kv_cache.prev_embedding is not None:
            # It is written to, and was a view of the prompt's.
            kv_cache.prev_embedding = kv_cache.prev_embedding.clone()
        self._recorded_for: tuple[int, Tap | None, Mapping[SiteLayer, Edit]] | None = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._logits: Tensor | None = None

    def __call__(self, ids: Tensor) -> Tensor:
        """The next token of every row, (B, 1); logits (B, 1, vocab)."""
        with turn_of(self.model), _LAUNCHING:
            return self._next(ids)

    def _next(self, ids: Tensor) -> Tensor:
        tap, end = self.model.tap, whole_blocks(max(self.kv_cache.positions) + 1, self.model)
        edits = {} if tap is None else tap.edits
        tap = tap if tap is not None and tap.recording else None
        self._ids.copy_(ids)
        if self.kv_cache.positions != self._standing:  # a row was replaced
            self._positions.copy_(torch.tensor(self.kv_cache.positions, device="cpu")[:, None])
        self._standing = [position + 1 for position in self.kv_cache.positions]
        if (end, tap, edits) != self._recorded_for:
            assert tap is None or tap.stands_at(self.kv_cache.positions)
            self._recorded_for, self._graph = (end, tap, edits), None
            return self._step(end)
        if self._graph is None:
            self._graph, self._logits = self._record(end)
        else:
            self.kv_cache.advance(1)
            if tap is not None:
                tap.count_token()
        self._graph.replay()
        assert self._logits is not None
        return self._logits.clone()

    def _step(self, end: int) -> Tensor:
        """One forward in which nothing depends on the host but `end`."""
        kv_cache, held = self.kv_cache, self.kv_cache.prev_embedding
        kv_cache.on_device = DeviceSpan(self._positions, end)
        try:
            logits = self.model.forward(self._ids, kv_cache=kv_cache)
        finally:
            kv_cache.on_device = None
        if held is not None and kv_cache.prev_embedding is not None:
            kv_cache.prev_embedding = held.copy_(kv_cache.prev_embedding)
        self._positions += 1
        return logits

    def _record(self, end: int) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        """Record a step without running it; the host counts it all the same."""
        return _graph_maker(self._ids.device).record(lambda: self._step(end))


class _GraphMaker:
    """Records on one device: on a stream of its own, with one memory for what all recordings compute on the way.

    They may share the memory, since nothing in it outlives its token; each with its own would leave that behind. The
    first recording is kept, so that the memory is.
    """

    def __init__(self, device: torch.device):
        self.stream = torch.cuda.Stream(device)
        self.first: torch.cuda.CUDAGraph | None = None
        self.first, _ = self.record(lambda: torch.zeros(1, device=device))

    def record(self, operations: Callable[[], Tensor]) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        """A graph of what `operations` start, not run yet, and where their result will be."""
        graph, caller = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self.stream.device)
        pool: dict[str, Any] = {} if self.first is None else {"pool": self.first.pool()}
        self.stream.wait_stream(caller)
        with torch.cuda.stream(self.stream):
            graph.capture_begin(capture_error_mode="thread_local", **pool)
            try:
                result = operations()
            finally:
                graph.capture_end()
        caller.wait_stream(self.stream)
        return graph, result


_graph_maker = cache(_GraphMaker)


def forget_recordings() -> None:
    """Let the memory that recordings share go with the last of them; the next recording begins a new one."""
    _graph_maker.cache_clear()
