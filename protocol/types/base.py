"""What all params and results are, and the limits of what clients send."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

DType = Literal["float32", "float16", "bfloat16"]

# What clients send has limits, as part of its type: see `Params`.
LARGEST_INTEGER = (1 << 53) - 1  # as large as every JSON reader keeps exactly
NO_NUL = r"^[^\x00]*$"
Id = Annotated[str, Meta(max_length=200)]
Name = Annotated[str, Meta(max_length=200, pattern=NO_NUL)]
FolderPath = Annotated[str, Meta(max_length=4096, pattern=NO_NUL)]
Text = Annotated[str, Meta(max_length=1_000_000)]
Source = FolderPath  # base, mid, sft, rl, demo, or a folder
RequestId = int | str
Count = Annotated[int, Meta(ge=0, le=LARGEST_INTEGER)]
Span = tuple[Count, Count]  # [start, stop): start included, stop not


class Params(Struct, kw_only=True, forbid_unknown_fields=True):
    """Base of all params: unknown names are an error, and so is a text, a list or a number beyond its limit."""


class Result(Struct, kw_only=True):
    """Base of all results: readers ignore names that they do not know."""


class NoParams(Params):
    """A method that takes nothing."""


def decode_params(params: object, kind: type[Params]) -> Params:
    """Params as their struct, strictly; raises msgspec.ValidationError, which names the path."""
    try:
        return msgspec.convert(params, kind, strict=True)
    except msgspec.ValidationError as error:
        matching = f"matching regex {NO_NUL!r}"
        raise msgspec.ValidationError(str(error).replace(matching, "without the character NUL")) from error
