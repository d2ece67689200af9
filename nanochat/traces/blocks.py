"""Which contiguous part of a stored tensor an index needs."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Block:
    """Rows [first, last) of the last dimension, the shape they have together, and what to index in it then."""

    first: int
    last: int
    shape: tuple[int, ...]
    rest: tuple[Any, ...]


def block_for(shape: tuple[int, ...], index: Any) -> Block:
    """The smallest contiguous block that holds `tensor[index]`; IndexError as numpy raises it."""
    index = index if isinstance(index, tuple) else (index,)
    simple = all(isinstance(part, int | np.integer | slice) for part in index)
    if not simple or len(index) > len(shape):
        return Block(0, prod(shape[:-1]), shape, index)
    first, count = 0, prod(shape[:-1])
    for axis, part in enumerate(index[: len(shape) - 1]):
        count = count // shape[axis] if shape[axis] else 0
        if isinstance(part, slice):
            start, stop, step = part.indices(shape[axis])
            if step != 1:
                return Block(first, first + count * shape[axis], shape[axis:], index[axis:])
            stop = max(start, stop)
            rest = (slice(None), *index[axis + 1 :])
            return Block(first + start * count, first + stop * count, (stop - start, *shape[axis + 1 :]), rest)
        place = int(part) + shape[axis] if part < 0 else int(part)
        if not 0 <= place < shape[axis]:
            raise IndexError(f"index {part} is out of bounds for axis {axis} with size {shape[axis]}")
        first += place * count
    axes = min(len(index), len(shape) - 1)
    return Block(first, first + count, shape[axes:], index[axes:])
