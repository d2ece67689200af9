"""What can be captured from a forward, and the buffers it goes to: to add a site, add a row to SITES."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from nanochat.attention import Span, attention_weights, last_row_weights
from nanochat.common import DTYPES
from nanochat.errors import SettingInvalidError

if TYPE_CHECKING:
    from nanochat.gpt import GPTConfig

WEIGHTS = "attention_weights"  # kept as (q, k, window); the recorder computes the softmax


@dataclass(frozen=True)
class Site:
    """One place in the model whose values can be captured; `shape` is that of one position."""

    name: str
    shape: Callable[[GPTConfig], tuple[int, ...]]
    default: bool = False
    path: str = "layer_activations.layer_{layer}.{name}"
    layers: Callable[[GPTConfig], int] = lambda config: config.n_layer

    def tensor_name(self, layer: int) -> str:
        """The tensor's name in a trace."""
        return self.path.format(layer=layer, name=self.name)


def _width(config: GPTConfig) -> tuple[int, ...]:
    return (config.n_embd,)


SITES: dict[str, Site] = {
    site.name: site
    for site in (
        Site("token_embeddings", _width, default=True, path="{name}", layers=lambda config: 1),
        Site("residual", _width, layers=lambda config: config.n_layer + 1),
        Site("pre_attn_norm", _width, default=True),
        Site("q", lambda config: (config.n_head, config.head_dim)),
        Site("k", lambda config: (config.n_kv_head, config.head_dim)),
        Site("v", lambda config: (config.n_kv_head, config.head_dim)),
        Site(WEIGHTS, lambda config: (config.n_head,), default=True, path="attention_weights.layer_{layer}"),
        Site("head_output", lambda config: (config.n_head, config.n_embd)),
        Site("post_attn", _width, default=True),
        Site("pre_mlp_norm", _width, default=True),
        Site("mlp_hidden", lambda config: (4 * config.n_embd,)),
        Site("post_mlp", _width, default=True),
    )
}
DEFAULT_SITES = tuple(site.name for site in SITES.values() if site.default)


@dataclass(frozen=True)
class CaptureSettings:
    """What to capture: which layers (None: all), sites, logits and stored dtype (None: as computed).

    `logits`: "generated" keeps the row each generated token was drawn from, "all" every position's, a number K the
    top K of every position, None none.
    """

    layers: tuple[int, ...] | None = None
    sites: tuple[str, ...] = DEFAULT_SITES
    logits: Literal["generated", "all"] | int | None = "generated"
    dtype: str | None = None

    @classmethod
    def parse(cls, value: CaptureSettings | dict[str, Any] | None) -> CaptureSettings:
        """Settings from a mapping of the same keys.

        Raises:
            SettingInvalidError: an unknown key, site, dtype or form of logits.
        """
        if value is None:
            return cls()
        if isinstance(value, dict):
            unknown = value.keys() - {"layers", "sites", "logits", "dtype"}
            if unknown:
                raise SettingInvalidError(f"capture has no setting {min(unknown)!r}: use layers, sites, logits, dtype.")
            fields: dict[str, Any] = {key: value[key] for key in ("logits", "dtype") if key in value}
            for key, kind in (("layers", int), ("sites", str)):
                if value.get(key) is not None:
                    fields[key] = _items(key, value[key], kind)
            value = cls(**fields)
        value.check()
        return value

    def check(self) -> None:
        """Raise SettingInvalidError where a value is out of its range."""
        for site in self.sites:
            if site not in SITES:
                raise SettingInvalidError(f"There is no capture site {site!r}: choose from {', '.join(SITES)}.")
        if self.dtype is not None and self.dtype not in DTYPES:
            raise SettingInvalidError(f"Cannot store captures as {self.dtype!r}: choose from {', '.join(DTYPES)}.")
        number = isinstance(self.logits, int) and not isinstance(self.logits, bool) and self.logits > 0
        if not number and self.logits not in ("generated", "all", None):
            raise SettingInvalidError(f'logits={self.logits!r}: use "generated", "all", a number above 0, or None.')

    def layers_of(self, site: Site, config: GPTConfig) -> list[int]:
        """The layers captured at a site; a residual stream reaches one past the last block."""
        count = site.layers(config)
        if self.layers is None or count == 1:
            return list(range(count))
        for layer in self.layers:
            if not 0 <= layer < config.n_layer:
                raise SettingInvalidError(
                    f"There is no layer {layer}: this model has layers 0 to {config.n_layer - 1}."
                )
        after_last = [config.n_layer] if count > config.n_layer and config.n_layer - 1 in self.layers else []
        return sorted(set(self.layers)) + after_last


def _items(key: str, value: Any, kind: type) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple) or not all(type(item) is kind for item in value):
        raise SettingInvalidError(f"capture's {key} must be a list of {kind.__name__}, not {value!r:.100}.")
    return tuple(value)


def keep(module: nn.Module, site: str, value: Any, layer: int | None = None) -> None:
    """Hand a value to the capture, if there is one that wants it; free otherwise."""
    tap: Tap | None = module.tap  # type: ignore[assignment]
    if tap is not None and site in tap.kept:
        tap.kept[site][module.layer_idx if layer is None else layer] = value  # type: ignore[index]


def wants(module: nn.Module, site: str) -> bool:
    """Whether a value that costs something to compute is wanted."""
    tap: Tap | None = module.tap  # type: ignore[assignment]
    return tap is not None and site in tap.kept


def captured(site: str) -> Any:
    """A module's attribute that shows what was captured there so far, (1, ...); None without a capture."""

    def read(module: Any) -> Tensor | None:
        return None if module.tap is None else module.tap.view(site, module.layer_idx)

    return property(read, doc=f"Captured {site} so far, None without a capture.")


def _zeros(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros; on the CPU as pages that take no memory before they are written."""
    try:
        if device.type != "cpu":
            return torch.zeros(*shape, dtype=dtype, device=device)
        count = int(np.prod(shape, dtype=np.int64))
        return torch.from_numpy(np.zeros(count * dtype.itemsize, dtype=np.uint8)).view(dtype).view(*shape)
    except (MemoryError, torch.OutOfMemoryError) as error:
        size = np.prod(shape, dtype=np.float64) * dtype.itemsize / 1e9
        raise SettingInvalidError(
            f"A buffer of {size:.1f} GB for the capture does not fit in memory: lower max_tokens, shorten the prompt, "
            "or narrow the capture's layers, sites or logits."
        ) from error


@dataclass
class _Buffer:
    """One site's rows, position first: (S, layers, *shape)."""

    site: Site
    layers: list[int]
    rows: Tensor
    _ahead: tuple[Tensor, ...] = ()  # the next positions' rows, split at once: a view costs as much as a token's copy
    _ahead_from: int = 0

    def row_of(self, position: int) -> Tensor:
        """One position's rows, (layers, 1, *shape)."""
        if not 0 <= position - self._ahead_from < len(self._ahead):
            self._ahead, self._ahead_from = self.rows[position : position + 64].unsqueeze(2).unbind(0), position
        return self._ahead[position - self._ahead_from]

    def write(self, values: list[Tensor], start: int, row: int) -> None:
        """Take one row of the layers' values, each (B, T, *shape), in one operation for all layers."""
        B, T = values[0].shape[:2]
        if B > 1:
            values = [value[row : row + 1] for value in values]
        out = self.row_of(start) if T == 1 else self.rows[start : start + T].transpose(0, 1)
        torch.cat(values, out=out)


@dataclass
class Recorder:
    """The buffers that one sequence is captured to.

    Args:
        config: the model's.
        settings: what to capture.
        capacity: positions to make room for.
        prompt_length: P; with logits="generated" rows from position P-1 on are kept.
        on_prompt_logits: called with (first position, (rows, vocab) logits) for positions before P-1, as they come.
    """

    config: GPTConfig
    settings: CaptureSettings
    capacity: int
    prompt_length: int
    device: torch.device
    dtype: torch.dtype
    on_prompt_logits: Callable[[int, Tensor], None] | None = None
    length: int = 0
    buffers: dict[str, _Buffer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.settings.sites:
            site = SITES[name]
            layers = self.settings.layers_of(site, self.config)
            shape = (*site.shape(self.config), self.capacity) if name == WEIGHTS else site.shape(self.config)
            dtype = torch.float32 if name == WEIGHTS else self.dtype
            self.buffers[name] = _Buffer(site, layers, _zeros((self.capacity, len(layers), *shape), dtype, self.device))
        self._logits = self._logits_buffers()

    def _logits_buffers(self) -> dict[str, Tensor]:
        kind, vocab = self.settings.logits, self.config.vocab_size
        if kind is None:
            return {}
        if isinstance(kind, int):
            shape = (self.capacity, min(kind, vocab))
            return {
                "output_logits.values": _zeros(shape, torch.float32, self.device),
                "output_logits.indices": _zeros(shape, torch.int32, self.device),
                "output_logits.log_sum_exp": _zeros(shape[:1], torch.float32, self.device),
            }
        rows = self.capacity if kind == "all" else self.capacity - self.prompt_length + 1
        return {"output_logits": _zeros((rows, vocab), torch.float32, self.device)}

    @property
    def needs_every_logit(self) -> bool:
        """Whether the prompt's positions need logits too."""
        return self.on_prompt_logits is not None or self.settings.logits not in ("generated", None)

    def write(self, kept: dict[str, dict[int, Any]], logits: Tensor, span: Span, row: int) -> None:
        """Take one row of what a forward kept; `logits` is (B, T or 1, vocab)."""
        start, stop = span.starts[row], span.starts[row] + span.count
        assert start == self.length and stop <= self.capacity
        for name, buffer in self.buffers.items():
            values = [kept[name][layer] for layer in buffer.layers]
            if name == WEIGHTS:
                self._write_weights(values, buffer.rows[start:stop], span, row)
            else:
                buffer.write(values, start, row)
        self._write_logits(logits[row], stop)
        self.length = stop

    def _write_weights(self, values: list[tuple[Tensor, Tensor, int]], rows: Tensor, span: Span, row: int) -> None:
        if span.count == 1 and span.uniform:
            last_row_weights(values, row, span, out=rows[0, :, :, : span.end])
            return
        alone = Span([span.starts[row]], span.count, span.device)
        for index, (q, k, window) in enumerate(values):
            weights = attention_weights(q[row : row + 1], k[row : row + 1, : alone.end], alone, window)
            rows[:, index, :, : alone.end] = weights[0].transpose(0, 1)

    def _write_logits(self, logits: Tensor, stop: int) -> None:
        start = stop - len(logits)
        prompt_rows = min(self.prompt_length - 1, stop) - start
        if prompt_rows > 0 and self.on_prompt_logits is not None:
            self.on_prompt_logits(start, logits[:prompt_rows])
        kind = self.settings.logits
        if isinstance(kind, int):
            top = logits.topk(self._logits["output_logits.values"].size(1), dim=-1)
            self._logits["output_logits.values"][start:stop] = top.values
            self._logits["output_logits.indices"][start:stop] = top.indices
            self._logits["output_logits.log_sum_exp"][start:stop] = logits.logsumexp(-1)
        elif kind == "all":
            self._logits["output_logits"][start:stop] = logits
        elif kind == "generated" and stop >= self.prompt_length:
            first = max(start, self.prompt_length - 1)
            rows = slice(first - self.prompt_length + 1, stop - self.prompt_length + 1)
            self._logits["output_logits"][rows] = logits[first - start :]

    def view(self, name: str, layer: int) -> Tensor | None:
        """One site of one layer so far, (1, ...), sharing the buffer's memory; None if it is not captured."""
        buffer = self.buffers.get(name)
        if buffer is None or layer not in buffer.layers:
            return None
        rows = buffer.rows[: self.length, buffer.layers.index(layer)]
        if name == WEIGHTS:
            rows = rows.transpose(0, 1)[..., : self.length]  # (H, S, S)
        return rows[None]

    def first_non_finite(self) -> str | None:
        """Where NaN or infinity appeared first, such as "layer 2, post_attn"; None if nothing captured shows it."""
        for layer in range(self.config.n_layer + 1):
            for name in SITES:
                value = self.view(name, layer)
                if value is not None and not torch.isfinite(value).all():
                    return f"layer {layer}, {name}" if "{layer}" in SITES[name].path else name
        return None

    def logits_view(self) -> Tensor | None:
        """The logits so far, (1, rows, vocab); None in the other forms."""
        logits = self._logits.get("output_logits")
        if logits is None:
            return None
        skipped = self.prompt_length - 1 if self.settings.logits == "generated" else 0
        return logits[None, : max(0, self.length - skipped)]

    def tensors(self, generated: int) -> dict[str, Tensor]:
        """All that was captured, on the CPU, under the names that traces use; `generated` is N."""
        found = {}
        for name, buffer in self.buffers.items():
            for layer in buffer.layers:
                found[buffer.site.tensor_name(layer)] = self.view(name, layer)
        for name, rows in self._logits.items():
            found[name] = rows[None, : generated if self.settings.logits == "generated" else self.length]
        return {name: value.cpu() for name, value in found.items()}


class Tap:
    """What a forward keeps for the recorders of its rows: row number to recorder."""

    def __init__(self, recorders: dict[int, Recorder]):
        assert recorders
        self.recorders, self.recording = recorders, True
        self.kept: dict[str, dict[int, Any]] = {}
        for recorder in recorders.values():
            self.kept.update({name: {} for name in recorder.buffers})

    @property
    def needs_every_logit(self) -> bool:
        """Whether some recorder wants logits of positions that no token is drawn at."""
        return self.recording and any(recorder.needs_every_logit for recorder in self.recorders.values())

    def layers(self) -> set[int]:
        """The layers that some recorder wants."""
        return {
            layer
            for recorder in self.recorders.values()
            for buffer in recorder.buffers.values()
            for layer in buffer.layers
        }

    def close(self) -> None:
        """Record no more; what was captured stays readable."""
        self.recording = False
        self.kept.clear()

    def commit(self, logits: Tensor, span: Span) -> None:
        """Write what the forward kept, and let go of it."""
        for row, recorder in self.recorders.items():
            recorder.write(self.kept, logits, span, row)
        for values in self.kept.values():
            values.clear()

    def view(self, name: str, layer: int) -> Tensor | None:
        """What the rows captured at a site so far, (rows, ...)."""
        return _joined(recorder.view(name, layer) for recorder in self.recorders.values())

    def logits_view(self) -> Tensor | None:
        """The rows' logits so far, (rows, positions, vocab)."""
        return _joined(recorder.logits_view() for recorder in self.recorders.values())


def _joined(views: Iterable[Tensor | None]) -> Tensor | None:
    found = [view for view in views if view is not None]
    if len({view.shape for view in found}) != 1:
        return None
    return found[0] if len(found) == 1 else torch.cat(found)
