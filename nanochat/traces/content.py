"""What a trace file is to hold: its document in file order, and its tensors in the dtype asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nanochat.errors import SettingInvalidError
from nanochat.traces.document import read_tokens
from nanochat.traces.tensors import (
    FLOATS,
    STORABLE_FLOATS,
    TENSOR_KEYS,
    LazyTensors,
    TensorInfo,
    data_info,
    in_file_order,
    to_dtype,
)

Tensors = Mapping[str, np.ndarray]
Infos = Mapping[str, TensorInfo]
OwnStep = tuple[Mapping[str, Any], Tensors, Infos]

DOCUMENT_KEYS = (
    "schema_version", "trace_id", "timestamp", "prompt", "response", "category", "metadata", "model", "generation",
    "parent", "position", "forced", "interventions", "touched", "messages", "tokens", "analysis",
)  # fmt: skip


@dataclass(frozen=True)
class Content:
    """What a trace file is to hold; `tensors` is read one at a time.

    `steps`: the steps, as views of the tensors, are part of it. `own_steps`: those of an older file.
    """

    document: dict[str, Any]
    tensors: Tensors
    infos: dict[str, TensorInfo]
    steps: bool = False
    own_steps: Sequence[OwnStep] = field(default_factory=list)


def assemble(
    document: Mapping[str, Any],
    tensors: Tensors,
    infos: Infos,
    *,
    dtype: str | None = None,
    steps: bool = False,
    own_steps: Sequence[OwnStep] = (),
) -> Content:
    """The document in file order with its `data_info`, the tensors in file order and in the dtype asked for."""
    if dtype is not None and dtype not in STORABLE_FLOATS:
        raise SettingInvalidError(f"The dtype {dtype!r} cannot be stored; use one of {', '.join(STORABLE_FLOATS)}.")
    left_out = {"data_info", *TENSOR_KEYS}
    keys = [key for key in DOCUMENT_KEYS if key in document]
    keys += [key for key in document if key not in keys and key not in left_out]
    ordered = {key: document[key] for key in keys}
    converted, kept = _converted(tensors, infos, dtype)
    ordered["data_info"] = data_info(kept, read_tokens(document).positions, steps or bool(own_steps))
    own = [(small, *_converted(step_tensors, step_infos, dtype)) for small, step_tensors, step_infos in own_steps]
    return Content(ordered, converted, kept, steps, own)


def _converted(tensors: Tensors, infos: Infos, dtype: str | None) -> tuple[Tensors, dict[str, TensorInfo]]:
    """Tensors in file order and in the dtype asked for, and their infos."""
    names = in_file_order(infos)
    kept = {
        name: TensorInfo(infos[name].shape, dtype if dtype and infos[name].dtype in FLOATS else infos[name].dtype)
        for name in names
    }
    return LazyTensors(names, lambda name: to_dtype(name, tensors[name], dtype)), kept
