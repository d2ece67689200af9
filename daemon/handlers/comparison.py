"""Two traces side by side."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from threading import Event

from daemon.handlers.traces import TokenText, token_text
from daemon.server.dispatch import Context, handles, in_thread
from nanochat.analysis.alignment import Pair, aligned, compared_layers, head_divergence
from nanochat.errors import StorageError
from nanochat.trace_storage import TraceStorage
from nanochat.traces.trace import Trace
from protocol.errors import RpcError
from protocol.methods import COMPARE_TRACES
from protocol.types import CompareTracesParams, CompareTracesResult, LayerDivergence, PositionPair


@handles(COMPARE_TRACES)
async def compare_traces(context: Context, params: CompareTracesParams) -> CompareTracesResult:
    """Align two traces' tokens, and compare the heads that both have."""
    storage = context.state.folder_of(context.session).storage
    return await in_thread(context, comparison, storage, params, token_text(context), context.cancel)


def comparison(
    storage: TraceStorage, params: CompareTracesParams, text: TokenText, cancel: Event
) -> CompareTracesResult:
    """Raises RpcError and the errors of `TraceStorage.open_trace`."""
    other = beside(storage, params.other_dir)
    with storage.open_trace(params.trace_id) as a, other.open_trace(params.other_id) as b:
        pairs = aligned_texts(texts_of(a, text), texts_of(b, text))
        layers = compared_layers(a, b) if params.heads else []
        if params.heads and params.layer is not None and params.layer not in layers:
            there = ", ".join(map(str, layers)) or "none"
            raise RpcError("TRACE_NOT_FOUND", f"Both traces have heads to compare in the layers {there}.")
        compared = []
        for layer in layers if params.layer is None or not params.heads else [params.layer]:
            found = head_divergence(a.attention(layer), b.attention(layer), pairs, cancel).tolist()
            heads = [None if math.isnan(value) else value for value in found]
            compared.append(LayerDivergence(layer=layer, heads=heads))
    return CompareTracesResult(
        pairs=[PositionPair(a=pair.a, b=pair.b, same=pair.same) for pair in pairs], layers=compared
    )


def beside(storage: TraceStorage, folder: str | None) -> TraceStorage:
    """The storage of B's folder; None: A's. Raises StorageError: it cannot be one."""
    if folder is None:
        return storage
    try:
        return TraceStorage(Path(folder).expanduser(), catalogue=storage.catalogue)
    except RuntimeError as error:  # of ~name
        raise StorageError(f"The traces folder {folder!r} is nobody's home: send the whole path.") from error


@lru_cache(maxsize=4)
def aligned_texts(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[Pair, ...]:
    """Kept, as a page asks for one layer after the other."""
    return tuple(aligned(a, b))


def texts_of(trace: Trace, text: TokenText) -> tuple[str, ...]:
    """The texts of a trace's tokens."""
    tokens = trace.fields.tokens
    return (
        *(tokens.prompt_text or map(text, tokens.prompt)),
        *(tokens.generated_text or map(text, tokens.generated)),
    )
