"""Everything that a client may send has a limit in its type, so that it is in the schema too."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from protocol.methods import METHODS
from protocol.types import HelloParams, TraceParams, decode_params


def unlimited(kind: inspect.Type, path: str) -> Iterator[str]:
    """The places within a type that take as much as a client likes to send."""
    match kind:
        case inspect.Metadata():
            yield from unlimited(kind.type, path)
        case inspect.StructType():
            for field in kind.fields:
                yield from unlimited(field.type, f"{path}.{field.encode_name}")
        case inspect.UnionType():
            for one in kind.types:
                yield from unlimited(one, path)
        case inspect.StrType():
            yield from () if kind.max_length else [path]
        case inspect.IntType():
            yield from () if kind.ge is not None and kind.le is not None else [path]
        case inspect.ListType():
            yield from () if kind.max_length else [path]
            yield from unlimited(kind.item_type, f"{path}[]")
        case inspect.DictType():
            yield from () if kind.max_length else [path]
        case inspect.TupleType():
            for one in kind.item_types:
                yield from unlimited(one, f"{path}[]")
        case inspect.FloatType() | inspect.BoolType() | inspect.LiteralType() | inspect.NoneType():
            pass  # of a few bytes; and no number is infinite
        case _:
            yield f"{path}: {kind}"


@pytest.mark.parametrize("name", METHODS)
def test_every_text_list_and_number_of_the_params_has_a_limit(name: str) -> None:
    assert list(unlimited(inspect.type_info(METHODS[name].params), name)) == []


@pytest.mark.parametrize(
    ("params", "kind", "message"),
    [
        ({"trace_id": "x" * 201}, TraceParams, r"length <= 200 - at `\$.trace_id`"),
        ({"traces_dir": "/" + "x" * 4096}, HelloParams, r"length <= 4096 - at `\$.traces_dir`"),
        ({"traces_dir": "/x\0y"}, HelloParams, r"^Expected `str` without the character NUL - at `\$.traces_dir`$"),
        ({"client_name": "\0"}, HelloParams, r"without the character NUL - at `\$.client_name`"),
    ],
)
def test_what_is_beyond_it_is_told_with_its_place(params: dict[str, Any], kind: Any, message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        decode_params(params, kind)


def test_the_limit_itself_is_taken() -> None:
    assert decode_params({"trace_id": "x" * 200}, TraceParams) == TraceParams(trace_id="x" * 200)
    path = "/" + "é" * 4095
    assert decode_params({"traces_dir": path}, HelloParams) == HelloParams(traces_dir=path)
