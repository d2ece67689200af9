"""Answers with attention as it is looked at: heads combined, without the sink, weighted by values."""

from __future__ import annotations

from threading import Event

from daemon.handlers.tensor_encoding import as_base64, as_lists, check_size
from daemon.server.dispatch import Context, handles, in_thread
from nanochat.analysis.attention_view import attention_view
from nanochat.trace_storage import TraceStorage
from nanochat.traces.trace import Trace
from protocol.errors import RpcError
from protocol.methods import GET_ATTENTION
from protocol.types import GetAttentionParams, GetTensorResult, Span


@handles(GET_ATTENTION)
async def get_attention(context: Context, params: GetAttentionParams) -> GetTensorResult:
    """Heads' attention, or a part of it."""
    storage = context.state.folder_of(context.session).storage
    return await in_thread(context, read_attention, storage, params, context.cancel)


def read_attention(storage: TraceStorage, params: GetAttentionParams, cancel: Event) -> GetTensorResult:
    """What the params ask for. Raises RpcError and the errors of `TraceStorage.open_trace`."""
    with storage.open_trace(params.trace_id) as trace:
        check_size(_shape(trace, params), params.encoding, params.dtype)
        array = attention_view(
            trace,
            params.heads,
            params.combine,
            hide_sink=params.hide_sink,
            value_weighted=params.value_weighted,
            rows=params.rows,
            columns=params.columns,
            cancel=cancel,
        )
    is_json = params.encoding == "json"
    encoded = as_lists(array) if is_json else as_base64(array, params.dtype, weights=not params.value_weighted)
    return GetTensorResult(
        shape=list(array.shape),
        dtype=encoded.dtype,
        data=encoded.data,
        minimum=encoded.minimum,
        maximum=encoded.maximum,
    )


def _shape(trace: Trace, params: GetAttentionParams) -> tuple[int, ...]:
    """Of the answer, before anything is read; () where the layer is not there."""
    name = f"attention_weights.layer_{params.heads[0][0]}"
    if name not in trace.names():
        return ()
    return tuple(
        len(range(*slice(*(span or (0, None))).indices(size)))
        for key, span, size in zip(
            ("rows", "columns"), (params.rows, params.columns), trace.shape(name)[2:], strict=True
        )
        if _in_order(key, span)
    )


def _in_order(key: str, span: Span | None) -> bool:
    if span is not None and span[0] > span[1]:
        raise RpcError("INVALID_PARAMS", f"{key} [{span[0]}, {span[1]}) end before they begin.")
    return True
