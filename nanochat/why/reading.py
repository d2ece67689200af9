"""One forward over a text, of which chosen rows are kept, as exact as the model computes them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from nanochat.attention import Span
from nanochat.cancelling import check_cancel
from nanochat.capture.tap import Edit, SiteLayer
from nanochat.errors import non_finite_error
from nanochat.gpt import GPT
from nanochat.kv_cache import KVCache
from nanochat.memory import memory_explained
from nanochat.model_turn import turn_of

CHUNK = 512  # tokens a forward, as in a generation: bounds memory, and the time until a cancel is seen
ADVICE = "ask for fewer positions, a shorter text, or use a device with more memory"


@dataclass(frozen=True)
class Reading:
    """What a forward handed out.

    Attributes:
        rows: site and layer to the rows of the positions asked for, (N, ...), in the model's compute dtype.
        whole: site and layer to the rows of every position, (T, ...).
        logits: the model's own at the positions, (N, vocab) float32.
    """

    rows: dict[SiteLayer, Tensor]
    whole: dict[SiteLayer, Tensor]
    logits: Tensor


@torch.inference_mode()
def read_forward(
    model: GPT,
    tokens: Sequence[int],
    positions: Sequence[int],
    rows: Iterable[SiteLayer],
    whole: Mapping[SiteLayer, int | None] | None = None,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    cancel: threading.Event | None = None,
) -> Reading:
    """Run a text once and keep what is asked for. It is this thread's turn with the model meanwhile.

    A recorder would keep every position of a site, in float32; a long text has no room for that.

    Args:
        tokens: the text's ids; positions: ascending, in the text.
        rows: the sites and layers to keep at the positions.
        whole: those to keep at every position, and how many of their first channels; None: all.
        on_progress: called with the tokens run so far and those of the text.

    Raises:
        NonFiniteError: the logits at a position are not finite.
        CancelledError: `cancel` was set. SettingInvalidError: not enough memory.
    """
    kept: dict[SiteLayer, list[Tensor]] = {place: [] for place in rows}
    everywhere: dict[SiteLayer, list[Tensor]] = {place: [] for place in whole or ()}
    edits: dict[SiteLayer, Edit] = {
        place: _reader(kept.get(place), everywhere.get(place), positions, (whole or {}).get(place))
        for place in kept.keys() | everywhere.keys()
    }
    device, config = model.get_device(), model.config
    ids = torch.tensor([list(tokens)], device=device)
    logits: list[Tensor] = []
    with memory_explained(device, "this question", ADVICE), turn_of(model).held(cancel), handed_out(model, edits):
        sizes = (config.n_kv_head, len(tokens), config.head_dim, config.n_layer)
        cache = KVCache(1, *sizes, device, model.compute_dtype)
        for chunk in ids.split(CHUNK, dim=1):
            check_cancel(cancel)
            here = _within(positions, Span(cache.positions, chunk.size(1), device))
            alone = here in ([], [chunk.size(1) - 1])
            cache.logits_wanted = "last" if alone else "all"  # a vocabulary wide: of the chunks that need them alone
            found = model(chunk, kv_cache=cache)
            if here:
                logits.append(found[0] if alone else found[0, here])
            if on_progress is not None:
                on_progress(cache.get_pos(), len(tokens))
    _check_finite(torch.cat(logits), positions)
    return Reading(_joined(kept), _joined(everywhere), torch.cat(logits))


@contextmanager
def handed_out(model: GPT, edits: dict[SiteLayer, Edit]) -> Iterator[None]:
    """Call the edits inside the block, and let go of them."""
    try:
        with model.capturing(edits=edits):
            yield
    finally:
        model.attach(None)


def _reader(
    rows: list[Tensor] | None, whole: list[Tensor] | None, positions: Sequence[int], channels: int | None
) -> Edit:
    """An edit that changes nothing and keeps what goes by."""

    def read(value: Tensor, span: Span) -> Tensor:
        if rows is not None:
            rows.append(value[0, _within(positions, span)])
        if whole is not None:
            whole.append(value[0, ..., :channels].clone())
        return value

    return read


def _within(positions: Sequence[int], span: Span) -> list[int]:
    """Those of the positions that a forward runs, counted from its first token."""
    return [position - span.starts[0] for position in positions if span.starts[0] <= position < span.end]


def _joined(parts: Mapping[SiteLayer, list[Tensor]]) -> dict[SiteLayer, Tensor]:
    return {place: found[0] if len(found) == 1 else torch.cat(found) for place, found in parts.items()}


def _check_finite(logits: Tensor, positions: Sequence[int]) -> None:
    finite = logits.isfinite().all(dim=1)
    if not finite.all():
        raise non_finite_error(positions[int(finite.long().argmin())])
