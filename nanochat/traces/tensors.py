"""What a trace's tensors are: dtypes and their names, dotted names, positions, and which rows belong to which step."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import ml_dtypes
import numpy as np

from nanochat.errors import SettingInvalidError

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

# our name -> (numpy dtype, name in a safetensors header)
DTYPES: dict[str, tuple[np.dtype, str]] = {
    "float64": (np.dtype("<f8"), "F64"),
    "float32": (np.dtype("<f4"), "F32"),
    "float16": (np.dtype("<f2"), "F16"),
    "bfloat16": (BFLOAT16, "BF16"),
    "int64": (np.dtype("<i8"), "I64"),
    "int32": (np.dtype("<i4"), "I32"),
    "int16": (np.dtype("<i2"), "I16"),
    "int8": (np.dtype("i1"), "I8"),
    "uint8": (np.dtype("u1"), "U8"),
}
FLOATS = ("float64", "float32", "float16", "bfloat16")
STORABLE_FLOATS = ("float32", "bfloat16", "float16")
TENSOR_KEYS = ("model_data", "intermediate_steps")  # of a document, as JSON has it
GROUPS = (
    "token_embeddings",
    "output_logits",
    "value_norms",
    "attention_thumbnails",
    "attention_weights",
    "layer_activations",
)

_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_LAYER = re.compile(r"\.layer_(\d+)(?:\.(\w+))?$")


@dataclass(frozen=True)
class TensorInfo:
    """Shape and dtype of one stored tensor; `shape` is None where an older file does not say.

    `problem` says why the tensor cannot be read, if it is known already.
    """

    shape: tuple[int, ...] | None
    dtype: str
    problem: str = ""

    @property
    def dims(self) -> tuple[int, ...]:
        return self.shape or ()

    @property
    def size(self) -> int:
        return prod(self.dims)


@dataclass(frozen=True)
class Span:
    """Bytes [start, end) of a file."""

    start: int
    end: int

    def read(self, descriptor: int) -> bytes:
        """Its bytes; ValueError if the file has become shorter."""
        return read_bytes(descriptor, self.start, self.end - self.start)


def read_bytes(descriptor: int, start: int, length: int) -> bytes:
    """`length` bytes of a file, more than one call of the system gives if need be; ValueError if it has fewer."""
    text = os.pread(descriptor, length, start)
    if len(text) == length:
        return text
    pieces = [text]
    while text and (length := length - len(text)):
        start += len(text)
        text = os.pread(descriptor, length, start)
        pieces.append(text)
    if not text:
        raise ValueError("the file has become shorter")
    return b"".join(pieces)


@dataclass(frozen=True)
class Positions:
    """P prompt tokens, N generated ones, and the S = P + max(N, 1) - 1 positions that the model ran over."""

    prompt: int
    generated: int

    @property
    def count(self) -> int:
        return self.prompt + self.steps - 1

    @property
    def steps(self) -> int:
        return max(self.generated, 1)


def dtype_name(dtype: np.dtype) -> str:
    """Our name of a numpy dtype; SettingInvalidError for one that a trace cannot hold."""
    if dtype.name in DTYPES:
        return dtype.name
    raise SettingInvalidError(f"A trace cannot hold {dtype} values; use one of {', '.join(DTYPES)}.")


def check_names(names: Iterable[str]) -> None:
    """Refuse tensor names that would not nest: bad characters, `data` as a part, or a name below another name."""
    known = set(names)
    for name in known:
        parts = name.split(".")
        if not _NAME.fullmatch(name) or "data" in parts:
            raise SettingInvalidError(f"{name!r} cannot name a tensor; use dotted words other than 'data'.")
        for end in range(1, len(parts)):
            if ".".join(parts[:end]) in known:
                raise SettingInvalidError(f"The tensor {name!r} lies below another tensor; rename one of them.")


def in_file_order(names: Iterable[str]) -> list[str]:
    """Tensor names in the order in which files hold them."""
    rank = {group: place for place, group in enumerate(GROUPS)}
    return sorted(names, key=lambda name: rank.get(name.split(".", 1)[0], len(GROUPS)))


def nest(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names to nested dicts."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *parents, last = name.split(".")
        node = tree
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = value
    return tree


def to_dtype(name: str, array: np.ndarray, dtype: str | None) -> np.ndarray:
    """The array in the dtype asked for (integers stay); finite values never become infinite.

    Raises SettingInvalidError where a value is too large for the dtype.
    """
    source = dtype_name(array.dtype)
    if dtype is None or dtype == source or source not in FLOATS:
        return array.astype(DTYPES[source][0], copy=False)  # native byte order
    with np.errstate(over="ignore", invalid="ignore"):
        converted = array.astype(DTYPES[dtype][0])
        # the sum is finite unless some value is not: one cheap pass in the usual case
        if not np.isfinite(np.float64(converted.astype(np.float32, copy=False).sum(dtype=np.float64))):
            lost = np.isfinite(array.astype(np.float64)) & ~np.isfinite(converted.astype(np.float64))
            if lost.any():
                raise SettingInvalidError(
                    f"{name} holds values too large for {dtype} (up to {np.abs(array[lost]).max():.4g}); "
                    f"store it as bfloat16 or float32."
                )
    return converted


def readable(array: np.ndarray) -> np.ndarray:
    """Floats of any width as float32; integers as they are."""
    if dtype_name(array.dtype) not in FLOATS:
        return array
    with np.errstate(invalid="ignore", over="ignore"):  # NaN stays NaN
        return array.astype(np.float32)


def data_info(infos: Mapping[str, TensorInfo], positions: Positions, steps: bool) -> dict[str, Any]:
    """The summary of a trace's tensors that stands in its head."""
    layers = {match[1] for name in infos if (match := _LAYER.search(name)) and match[2] != "residual"}
    return {
        "num_layers": len(layers),
        "num_tokens": positions.count,
        "num_steps": positions.steps,
        "intermediate_steps": steps,
        "tensors": {
            name: {"shape": None if info.shape is None else list(info.shape), "dtype": f"torch.{info.dtype}"}
            for name, info in infos.items()
        },
    }


def step_index(name: str, shape: tuple[int, ...] | None, positions: Positions, step: int) -> tuple[slice, ...] | None:
    """Where step `step` lies in a tensor; None if the tensor has no row for it.

    Step 0 holds the prompt's rows, step t >= 1 the row P-1+t; attention rows hold the keys so far, and
    logits of N rows the one that the step's token was drawn from.
    """
    if shape is None or len(shape) < 2 or shape[0] != 1 or positions.prompt < 1:
        return None
    row = positions.prompt - 1 + step
    whole = slice(None)
    if name.startswith("attention_weights."):
        fits = len(shape) == 4 and shape[2:] == (positions.count, positions.count)
        return (whole, whole, slice(0 if step == 0 else row, row + 1), slice(0, row + 1)) if fits else None
    if name.split(".", 1)[0] == "output_logits":
        if shape[1] not in (positions.generated, positions.count):
            return None
        first = row if shape[1] == positions.count else step
        return (whole, slice(first, first + 1)) if first < shape[1] else None
    if shape[1] != positions.count or name.startswith("attention_thumbnails."):
        return None
    return whole, slice(0 if step == 0 else row, row + 1)


class LazyTensors(Mapping[str, np.ndarray]):
    """Tensors by name, each read when it is taken."""

    def __init__(self, names: list[str], read: Callable[[str], np.ndarray]) -> None:
        self._names = names
        self._read = read

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        return self._read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
