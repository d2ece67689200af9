"""Answers with tensors: which part of which tensor was asked for, and no more of it read than that."""

from __future__ import annotations

from math import prod
from threading import Event
from typing import Protocol

import numpy as np

from daemon.handlers.tensor_encoding import as_base64, as_lists, check_size
from daemon.server.dispatch import Context, handles, in_thread
from nanochat.capture.sites import site_of
from nanochat.errors import CancelledError
from nanochat.trace_storage import TraceStorage
from nanochat.traces.formats import FORMATS
from nanochat.traces.trace import Trace
from protocol.errors import RpcError
from protocol.methods import GET_TENSOR
from protocol.types import GetTensorParams, GetTensorResult

WEIGHTS = "attention_weights."

Index = tuple[int | slice, ...]


class Source(Protocol):
    """A trace, or one step of it."""

    def names(self) -> list[str]: ...
    def shape(self, name: str) -> tuple[int, ...]: ...
    def tensor(self, name: str, index: Index = ()) -> np.ndarray: ...


@handles(GET_TENSOR)
async def get_tensor(context: Context, params: GetTensorParams) -> GetTensorResult:
    """A tensor, or a part of it."""
    storage = context.state.folder_of(context.session).storage
    return await in_thread(context, read_part, storage, params, context.cancel)


def read_part(storage: TraceStorage, params: GetTensorParams, cancel: Event) -> GetTensorResult:
    """The part of a tensor that the params ask for. Raises RpcError and the errors of `TraceStorage.open_trace`."""
    with storage.open_trace(params.trace_id) as trace:
        source: Source = trace if params.step is None else trace.step(params.step)
        name = full_name(source, params)
        whole = source.shape(name)
        index = part_of(name, whole, params)
        shape = _shape_of(whole, index)
        check_size(shape, params.encoding, params.dtype)
        array = _read(trace, source, name, index, cancel).reshape(shape)
    if cancel.is_set():
        raise CancelledError("Cancelled: the tensor was not sent.")
    is_json = params.encoding == "json"
    encoded = as_lists(array) if is_json else as_base64(array, params.dtype, weights=name.startswith(WEIGHTS))
    return GetTensorResult(
        shape=list(shape), dtype=encoded.dtype, data=encoded.data, minimum=encoded.minimum, maximum=encoded.maximum
    )


def full_name(source: Source, params: GetTensorParams) -> str:
    """The tensor's name in the trace: as given, or put together from a group or site and the layer."""
    known, name, layer = set(source.names()), params.name, params.layer
    if layer is None:
        if name not in known and (layers := _layers_of(known, name)):
            raise RpcError("INVALID_PARAMS", f"{name} is there for several layers: give `layer`, one of {layers}.")
        return name
    if name in known:
        raise RpcError("INVALID_PARAMS", f"{name} is the name of one tensor: leave `layer` out.")
    candidates = (f"{name}.layer_{layer}", f"layer_activations.layer_{layer}.{name}")
    found = next((candidate for candidate in candidates if candidate in known), None)
    if found is None and (layers := _layers_of(known, name)):
        raise RpcError("TRACE_NOT_FOUND", f"{params.trace_id} has {name} of the layers {layers}, not of {layer}.")
    return found or f"{name}.layer_{layer}"


def _layers_of(known: set[str], name: str) -> str:
    """The layers that a group or site was captured of, as text."""
    prefix, start, end = f"{name}.layer_", "layer_activations.layer_", f".{name}"
    groups = [tensor.removeprefix(prefix) for tensor in known if tensor.startswith(prefix)]
    sites = [
        tensor.removeprefix(start).removesuffix(end)
        for tensor in known
        if tensor.startswith(start) and tensor.endswith(end)
    ]
    return ", ".join(sorted((layer for layer in groups + sites if layer.isdecimal()), key=int))


def part_of(name: str, shape: tuple[int, ...], params: GetTensorParams) -> Index:
    """What to index a tensor with. A head leaves out its own axis and the first, whose length is 1."""
    index: list[int | slice] = [slice(None)] * len(shape)
    if params.head is not None:
        site = site_of(name)
        axis = site and site.tensor_head_axis
        if axis is None or axis >= len(shape) or shape[0] != 1:
            raise RpcError("INVALID_PARAMS", f"{name} has no heads: leave `head` out.")
        if params.head >= shape[axis]:
            raise RpcError("TRACE_NOT_FOUND", f"{name} has the heads 0 to {shape[axis] - 1}, not {params.head}.")
        index[0], index[axis] = 0, params.head
    left = [axis for axis, part in enumerate(index) if isinstance(part, slice)]
    for key, place, span in (("rows", -2, params.rows), ("columns", -1, params.columns)):
        if span is None:
            continue
        if len(left) < -place:
            raise RpcError("INVALID_PARAMS", f"That part of {name} has no {key}: leave `{key}` out.")
        start, stop = span
        if start > stop:
            raise RpcError("INVALID_PARAMS", f"{key} [{start}, {stop}) end before they begin.")
        index[left[place]] = slice(start, stop)
    return tuple(index)


def _shape_of(whole: tuple[int, ...], index: Index) -> tuple[int, ...]:
    """The shape of `tensor[index]`; as in numpy, what lies past the end is not there."""
    pairs = zip(whole, index, strict=True)
    return tuple(len(range(*part.indices(size))) for size, part in pairs if isinstance(part, slice))


def _read(trace: Trace, source: Source, name: str, index: Index, cancel: Event) -> np.ndarray:
    """`tensor[index]`. Some rows of all heads are read head by head where the format allows it, not all rows."""
    whole = source.shape(name)
    every_head = name.startswith(WEIGHTS) and len(whole) == 4 and whole[0] == 1 and index[1] == slice(None)
    if not FORMATS[trace.format].compact or not every_head or index[2] == slice(None) or not prod(whole):
        return source.tensor(name, index)
    heads = []
    for head in range(whole[1]):
        if cancel.is_set():
            raise CancelledError("Cancelled: the tensor was not read.")
        heads.append(source.tensor(name, (0, head, *index[2:])))
    return np.stack(heads)
