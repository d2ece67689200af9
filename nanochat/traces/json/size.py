"""How many bytes tensors take as JSON, which writes every number out: a close guess."""

from math import prod

from nanochat.traces.content import Infos
from nanochat.traces.tensors import Positions, step_index

WRITTEN_OUT = {"float64": 19.0, "float32": 11.6, "float16": 7.6, "bfloat16": 6.8}  # bytes of a number in JSON, measured
INTEGER = 6.0
SMALL = 1.1  # of the digits of a weight: it is small, and its zeros after the point are written too
ZERO = 4  # "0.0,"


def expected_bytes(infos: Infos, positions: Positions, steps: bool) -> int:
    """The bytes of tensors in a file; `steps`: its steps are spelled out beside them."""
    total = 0.0
    for name, info in infos.items():
        total += _written_out(name, info.dims, info.dtype)
        for step in range(positions.steps if steps else 0):
            part = step_index(name, info.dims, positions, step)
            if part is not None:
                shape = [len(range(size)[cut]) for size, cut in zip(info.dims, part, strict=False)]
                total += _written_out(name, (*shape, *info.dims[len(part) :]), info.dtype)
    return int(total)


def _written_out(name: str, shape: tuple[int, ...], dtype: str) -> float:
    each, count = WRITTEN_OUT.get(dtype, INTEGER), prod(shape)
    if not name.startswith("attention_weights.") or len(shape) != 4:
        return count * each
    zeros = count * (shape[2] - 1) / (2 * shape[3]) if shape[2] else 0  # no query sees the keys after it
    return zeros * ZERO + (count - zeros) * each * SMALL
