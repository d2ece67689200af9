"""The preallocated buffers that a capture goes to, each position's rows written once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nanochat.attention import DeviceSpan, Span, attention_weights, returns_weights
from nanochat.cancelling import check_cancel
from nanochat.capture.sites import FINAL, SITES, WEIGHTS, CaptureSettings
from nanochat.common import without_autocast
from nanochat.errors import SettingInvalidError
from nanochat.gpt_config import GPTConfig
from nanochat.memory import lazy_zeros

if TYPE_CHECKING:
    from nanochat.capture.tap import Edit

Column = tuple[str, int]  # site and layer
AHEAD = 64  # positions
QUERIES = 512  # rows of attention weights computed at once: bounds the memory that it takes
REUSED = 32 << 20  # bytes: the most that the C library keeps for reuse (glibc's DEFAULT_MMAP_THRESHOLD_MAX)


@torch.inference_mode(False)  # a capture may go on outside of where it began
def _room(shape: Sequence[int], dtype: torch.dtype, device: torch.device, *, zeroed: bool = False) -> Tensor:
    """Room for values; on the CPU it takes no memory before it is written.

    Small room that need not be zero comes from the allocator, which hands out again what the last capture gave back:
    new pages cost a third of what capturing does at 12 layers x 768.
    """
    size, on_cpu = prod(shape) * dtype.itemsize, device.type == "cpu"
    try:
        if not zeroed and (size <= REUSED or not on_cpu):
            return torch.empty(*shape, dtype=dtype, device=device)
        return lazy_zeros(shape, dtype) if on_cpu else torch.zeros(*shape, dtype=dtype, device=device)
    except (MemoryError, RuntimeError) as error:  # torch has no one error for it
        raise SettingInvalidError(
            f"A buffer of {size / 1e9:.1f} GB for the capture does not fit in memory: lower max_tokens, shorten the "
            "prompt, or narrow the capture's layers, sites or logits."
        ) from error


class Buffer:
    """Values of one shape, position first: (capacity, columns, *shape), a column for each site and layer.

    Sites of one shape share a buffer, so that a token of all of them is one copy: a small model is bound by the number
    of operations, and a view costs as much as a token's copy.
    """

    def __init__(
        self,
        columns: list[Column],
        capacity: int,
        shape: tuple[int, ...],
        dtype: torch.dtype,
        device: torch.device,
        *,
        zeroed: bool = False,
    ):
        self.columns = columns
        self.rows = _room((capacity, len(columns), *shape), dtype, device, zeroed=zeroed)
        self._place = {column: place for place, column in enumerate(columns)}
        self._ahead: tuple[Tensor, ...] = ()  # the next positions' rows, split at once
        self._ahead_from = 0

    def _row(self, position: int) -> Tensor:
        """One position's rows, (columns, 1, *shape)."""
        if not 0 <= position - self._ahead_from < len(self._ahead):
            self._ahead, self._ahead_from = self.rows[position : position + AHEAD].unsqueeze(2).unbind(0), position
        return self._ahead[position - self._ahead_from]

    def write(self, values: list[Tensor], start: int, row: int) -> None:
        """Take one row of every column's values, each (B, T, *shape)."""
        B, T = values[0].shape[:2]
        if B > 1:
            values = [value[row : row + 1] for value in values]
        out = self._row(start) if T == 1 else self.rows[start : start + T].transpose(0, 1)
        torch.cat(values, out=out)

    def write_at(self, values: list[Tensor], position: Tensor, row: int) -> None:
        """As `write`, one token at a position that the device alone knows, (1,)."""
        together = torch.cat(values if values[0].size(0) == 1 else [value[row : row + 1] for value in values])
        self.rows.index_copy_(0, position, together.to(self.rows.dtype).transpose(0, 1))

    def read(self, column: Column, length: int) -> Tensor:
        """A column's first rows, (length, *shape), sharing memory."""
        return self.rows[:length, self._place[column]]


class Recorder:
    """What one sequence is captured to.

    Where the model's kernel hides attention weights (on GPUs, in half precision), they are computed from the captured
    queries and keys when they are read. Beside the kernel they would take a quarter of a token's time; and rows of ever
    more keys are nothing that a recorded forward could write.

    Args:
        config: the model's.
        settings: what to capture.
        capacity: positions to make room for.
        prompt_length: P; with logits="generated" rows from position P-1 on are kept.
        device, dtype: where the model computes, and in what.

    Raises:
        SettingInvalidError: a layer that the model lacks, or no memory for the buffers.
    """

    def __init__(
        self,
        config: GPTConfig,
        settings: CaptureSettings,
        capacity: int,
        prompt_length: int,
        device: torch.device,
        dtype: torch.dtype,
    ):
        self.config, self.settings, self.capacity, self.length = config, settings, capacity, 0
        self.edits: dict[tuple[str, int], Edit] = {}  # what the tap changes: weights computed when read are too
        self.sites = {name: settings.layers_of(SITES[name], config) for name in settings.sites}
        self.taken = dict(self.sites)  # what the forwards have to hand over
        weights_from_qk = None if returns_weights(device, dtype) else self.taken.pop(WEIGHTS, None)
        self.taken |= {"q": weights_from_qk, "k": weights_from_qk} if weights_from_qk else {}
        columns = {name: [(name, layer) for layer in layers] for name, layers in self.taken.items()}
        weights = columns.pop(WEIGHTS, None)
        by_shape: dict[tuple[int, ...], list[Column]] = {}
        for name, of_site in columns.items():
            if of_site:
                by_shape.setdefault(SITES[name].shape(config), []).extend(of_site)
        self._buffers = [Buffer(found, capacity, shape, dtype, device) for shape, found in by_shape.items()]
        self._buffer_of = {name: buffer for buffer in self._buffers for name, _ in buffer.columns}
        room = (config.n_head, capacity)
        # Weights are zero where a query sees no key, and rows end at the last key seen.
        self._weights = Buffer(weights, capacity, room, torch.float32, device, zeroed=True) if weights else None
        self._buffer_of |= {WEIGHTS: self._weights} if self._weights else {}
        on_cpu = torch.device("cpu")  # room for all layers is there alone
        layers = weights_from_qk or ()
        rooms = _room((len(layers), *room, capacity), torch.float32, on_cpu, zeroed=True) if layers else ()
        self._weights_from_qk = dict(zip(layers, rooms, strict=True))
        self._first_logit = prompt_length - 1 if settings.logits == "generated" else 0  # the position of its row 0
        self._logits: Buffer | None = None
        self._top: dict[str, Tensor] = {}
        if isinstance(settings.logits, int):
            self._top_count = min(settings.logits, config.vocab_size)
            shape = (capacity, self._top_count)
            self._top["output_logits.values"] = _room(shape, torch.float32, device)
            self._top["output_logits.indices"] = _room(shape, torch.int32, device)
            self._top["output_logits.log_sum_exp"] = _room(shape[:1], torch.float32, device)
        elif settings.logits is not None:
            rows, shape = capacity - self._first_logit, (config.vocab_size,)
            self._logits = Buffer([("output_logits", 0)], rows, shape, torch.float32, device)

    @property
    def needs_every_logit(self) -> bool:
        """Whether positions that no token is drawn at need logits too."""
        return self.settings.logits not in ("generated", None)

    def write(self, kept: dict[str, dict[int, Any]], logits: Tensor, span: Span, row: int) -> None:
        """Take one row of what a forward kept; `logits` is (B, T or 1, vocab)."""
        if isinstance(span, DeviceSpan):
            self._write_at(kept, logits, span.positions[row], row)
            return
        start, stop = span.starts[row], span.starts[row] + span.count
        assert start == self.length and stop <= self.capacity
        for buffer in self._buffers:
            buffer.write([kept[name][layer] for name, layer in buffer.columns], start, row)
        if self._weights is not None:
            values = [kept[name][layer] for name, layer in self._weights.columns]
            _write_weights(values, self._weights.rows[start:stop], span, row)
        self._write_logits(logits, stop, row)
        self.length = stop

    def _write_at(self, kept: dict[str, dict[int, Any]], logits: Tensor, position: Tensor, row: int) -> None:
        assert self._weights is None and self._first_logit <= self.length < self.capacity
        for buffer in self._buffers:
            buffer.write_at([kept[name][layer] for name, layer in buffer.columns], position, row)
        if self._logits is not None:
            self._logits.write_at([logits], position - self._first_logit, row)
        elif self._top:
            for rows, found in zip(self._top.values(), _top_logits(logits[row], self._top_count), strict=True):
                rows.index_copy_(0, position, found.to(rows.dtype))
        self.count_token()

    def count_token(self) -> None:
        """Count a token that was written: by `write`, or by the repeated operations of one."""
        assert self.length < self.capacity
        self.length += 1

    def _write_logits(self, logits: Tensor, stop: int, row: int) -> None:
        start = stop - logits.size(1)
        if self._logits is not None:
            first = max(start, self._first_logit)
            if first < stop:
                self._logits.write(
                    [logits if first == start else logits[:, first - start :]], first - self._first_logit, row
                )
        elif self._top:
            for rows, found in zip(self._top.values(), _top_logits(logits[row], self._top_count), strict=True):
                rows[start:stop] = found

    def view(self, name: str, layer: int) -> Tensor | None:
        """One site of one layer so far, (1, ...); None if it is not captured.

        It shares the buffer's memory, except attention weights that are computed now.
        """
        if layer not in self.sites.get(name, ()):
            return None
        if name == WEIGHTS and layer in self._weights_from_qk:
            shape, device = (self.config.n_head, self.length, self.length), self._read("q", layer).device
            return self._compute_weights(layer, _room(shape, torch.float32, device, zeroed=True))
        return self._read(name, layer)

    def _on_cpu(self, name: str, layer: int) -> Tensor:
        if name == WEIGHTS and layer in self._weights_from_qk:
            return self._compute_weights(layer, self._weights_from_qk[layer][:, : self.length, : self.length])
        return self._read(name, layer).cpu()

    def _read(self, name: str, layer: int) -> Tensor:
        rows = self._buffer_of[name].read((name, layer), self.length)
        return (rows.transpose(0, 1)[..., : self.length] if name == WEIGHTS else rows)[None]

    @torch.inference_mode()
    def _compute_weights(self, layer: int, out: Tensor) -> Tensor:
        """The weights of every query so far into zeros (H, S, S), on any device; (1, H, S, S)."""
        q, k, window = self._read("q", layer), self._read("k", layer), self.config.windows()[layer]
        for start in range(0, self.length, QUERIES):
            span = Span([start], min(QUERIES, self.length - start), q.device)
            with without_autocast(q.device):
                rows = attention_weights(q[:, start : span.end], k[:, : span.end], span, window)
                if (WEIGHTS, layer) in self.edits:
                    rows = self.edits[WEIGHTS, layer](rows, span)
            out[:, start : span.end, : span.end] = rows[0]
        return out[None]

    def first_non_finite(self) -> tuple[int, str] | None:
        """Where NaN or infinity was captured first: position, and site, such as "layer 2, post_attn"; None: nowhere."""
        inside = [(layer, name) for layer in range(self.config.n_layer + 1) for name in SITES if name != FINAL]
        for layer, name in [*inside, (0, FINAL)]:
            if layer in self.taken.get(name, ()):
                rows = self._buffer_of[name].read((name, layer), self.length)
                if not _is_finite(rows):
                    return _first_bad_row(rows), f"layer {layer}, {name}" if SITES[name].in_layers else name
        logits = self.logits_view()
        for rows, first in [
            (logits, self._first_logit),
            *((top[None, : self.length], 0) for top in self._top.values()),
        ]:
            if rows is not None and not _is_finite(rows[0]):
                return first + _first_bad_row(rows[0]), "the logits"
        return None

    def logits_view(self) -> Tensor | None:
        """The logits so far, (1, rows, vocab); None in the other forms."""
        if self._logits is None:
            return None
        return self._logits.rows[: max(0, self.length - self._first_logit), 0][None]

    def tensors(self, generated: int, cancel: threading.Event | None = None) -> dict[str, Tensor]:
        """All that was captured, on the CPU, under the names that traces use; `generated` is N.

        Raises:
            CancelledError: `cancel` was set.
        """
        found: dict[str, Tensor] = {}
        for name, layers in self.sites.items():
            for layer in layers:
                check_cancel(cancel)
                found[SITES[name].tensor_name(layer)] = self._on_cpu(name, layer)
        logits = self.logits_view()
        if logits is not None:
            found["output_logits"] = (logits[:, :generated] if self.settings.logits == "generated" else logits).cpu()
        return found | {name: rows[None, : self.length].cpu() for name, rows in self._top.items()}


def _is_finite(values: Tensor) -> bool:
    return not values.numel() or bool(torch.stack(torch.aminmax(values)).isfinite().all())


def _first_bad_row(rows: Tensor) -> int:
    """The first of the rows (S, ...) that is not finite."""
    return int(rows.isfinite().flatten(1).all(1).long().argmin())


def _top_logits(logits: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The largest logits of (T, vocab), (T, count), their indices, and the log-sum-exp of all, (T,)."""
    top = logits.topk(count, dim=-1)
    return top.values, top.indices, logits.logsumexp(-1)


def _write_weights(weights: list[Tensor], rows: Tensor, span: Span, row: int) -> None:
    """Every layer's weights, each (B, H, T, S) or those of the last keys alone, into rows (T, layers, H, capacity)."""
    stop = span.starts[row] + span.count  # the keys of this row; others may have come further
    if weights[0].size(0) == span.count == 1 and all(of_layer.size(3) == stop for of_layer in weights):
        rows[0, :, :, :stop] = torch.cat(weights).squeeze(2)  # two operations, where a cat into gaps is one a layer
        return
    for index, of_layer in enumerate(weights):
        seen = of_layer[row, ..., :stop].transpose(0, 1)  # (T, H, keys)
        rows[:, index, :, stop - seen.size(2) : stop] = seen
