"""Every head of a trace as a small picture."""

from __future__ import annotations

import base64
from threading import Event

from daemon.server.dispatch import Context, handles, in_thread
from nanochat.analysis.thumbnails import attention_layers, layer_thumbnails
from nanochat.trace_storage import TraceStorage
from protocol.errors import RpcError
from protocol.methods import GET_HEAD_THUMBNAILS
from protocol.types import GetHeadThumbnailsParams, GetHeadThumbnailsResult, LayerThumbnails


@handles(GET_HEAD_THUMBNAILS)
async def get_head_thumbnails(context: Context, params: GetHeadThumbnailsParams) -> GetHeadThumbnailsResult:
    """The thumbnails that a trace keeps, or those of its weights."""
    storage = context.state.folder_of(context.session).storage
    return await in_thread(context, read_thumbnails, storage, params, context.cancel)


def read_thumbnails(storage: TraceStorage, params: GetHeadThumbnailsParams, cancel: Event) -> GetHeadThumbnailsResult:
    """One layer's, or every layer's. Raises RpcError and the errors of `TraceStorage.open_trace`."""
    with storage.open_trace(params.trace_id) as trace:
        captured = attention_layers(trace)
        if params.layer is not None and params.layer not in captured:
            there = ", ".join(map(str, captured)) or "none"
            raise RpcError(
                "TRACE_NOT_FOUND", f"{params.trace_id} has attention of the layers {there}, not of {params.layer}."
            )
        layers, kept = [], True
        for layer in captured if params.layer is None else [params.layer]:
            found = layer_thumbnails(trace, layer, cancel)
            kept = kept and found.kept
            heads, cells = found.cells.shape[:2]
            data = base64.b64encode(found.cells.tobytes()).decode()
            layers.append(LayerThumbnails(layer=layer, heads=heads, cells=cells, data=data))
    return GetHeadThumbnailsResult(kept=kept, layers=layers)
