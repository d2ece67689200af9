"""Hostile values, and every place for them: in the params of every method, as the protocol's types have them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from msgspec import inspect

from protocol.generate.examples import examples_of
from protocol.methods import METHODS

NEVER = ("shutdown",)  # it would end what is tested
MB = 1 << 20
LONGEST = 20 * MB  # more than a message may have
PLACE = "\N{OBJECT REPLACEMENT CHARACTER}"  # where the value goes, in a request that is right elsewhere

# JSON texts. Those of whole strings are in quotes.
TEXTS: dict[str, bytes] = {
    "empty": b'""',
    "one character": b'"x"',
    "NUL": b'"a\\u0000b"',
    "half a character": b'"\\ud83d"',
    "halves in the wrong order": b'"\\ude00\\ud83d"',
    "not UTF-8": b'"\xff"',
    "a path that leads out": b'"../../../../etc/passwd"',
    "line breaks": b'"' + b"\\n" * 1000 + b'"',
    "1 MB of escapes": b'"' + b"\\u0001" * (MB // 6) + b'"',
    "1 MB of emoji": b'"' + "😀".encode() * (MB // 4) + b'"',
    "1 MB of blanks and a letter": b'"' + b" " * MB + b'y"',
    "1 MB of brackets": b'"' + b"[{" * (MB // 2) + b'"',
    "1 MB of quotes": b'"' + b'\\"' * (MB // 2) + b'"',
    "1 MB of halves": b'"' + b"\\ud83d" * (MB // 6) + b'"',
    "1 MB of dashes": b'"' + b"---\\n" * (MB // 5) + b'"',
    "20 MB": b'"' + b"x" * LONGEST + b'"',
}
NUMBERS: dict[str, bytes] = {
    "0": b"0",
    "-1": b"-1",
    "-0.0": b"-0.0",
    "2**53": b"9007199254740992",
    "2**64": b"18446744073709551616",
    "10**400": b"1" + b"0" * 400,
    "5,000 digits": b"1" * 5000,
    "1 MB of digits": b"1" * MB,
    "1e400": b"1e400",
    "1e-400": b"1e-400",
    "a huge exponent": b"1e" + b"9" * 1000,
    "NaN": b"NaN",
    "-Infinity": b"-Infinity",
}
WHOLES: dict[str, bytes] = {
    "null": b"null",
    "an empty list": b"[]",
    "an empty object": b"{}",
    "nested": b"[" * 99 + b"]" * 99,
    "nested too deeply": b"[" * 1000 + b"]" * 1000,
    "many items": b"[0" + b",0" * 150_000 + b"]",
    "too many items": b"[0" + b",0" * (4 * MB) + b"]",
    "many objects": b"[{}" + b",{}" * 150_000 + b"]",
    "many keys": b"{" + b",".join(b'"%d":0' % number for number in range(100_000)) + b"}",
}
KINDS = {"text": TEXTS, "number": NUMBERS, "whole": WHOLES}


# Messages beside the methods of the table: each with one place, or more of them, for the value.
ABOUT = {"uri": "file:///hostile.prompt"}
HERE = {"line": 0, "character": 0}
ENVELOPE: dict[str, dict[str, Any]] = {
    "the id": {"id": PLACE, "method": "get_status"},
    "the method": {"id": 1, "method": PLACE},
    "the params": {"id": 1, "method": "get_status", "params": PLACE},
    "the version": {"jsonrpc": PLACE, "id": 1, "method": "get_status"},
    "a member of no meaning": {"id": 1, "method": "get_status", "traceparent": PLACE},
    "the name of a param": {"id": 1, "method": "get_status", "params": {PLACE: 1}},
}
EDITOR: dict[str, dict[str, Any]] = {
    "a uri that is opened": {
        "method": "textDocument/didOpen",
        "params": {"textDocument": {"uri": PLACE, "languageId": "prompt", "version": 1, "text": "abc"}},
    },
    "a language": {
        "method": "textDocument/didOpen",
        "params": {"textDocument": ABOUT | {"languageId": PLACE, "version": 1, "text": "abc"}},
    },
    "a text": {
        "method": "textDocument/didOpen",
        "params": {"textDocument": ABOUT | {"languageId": "prompt", "version": 1, "text": PLACE}},
    },
    "a changed text": {
        "method": "textDocument/didChange",
        "params": {
            "textDocument": ABOUT | {"version": 2},
            "contentChanges": [{"range": {"start": HERE, "end": HERE}, "text": PLACE}],
        },
    },
    "a position": {
        "method": "textDocument/didChange",
        "params": {
            "textDocument": ABOUT | {"version": 3},
            "contentChanges": [{"range": {"start": HERE, "end": {"line": PLACE, "character": PLACE}}, "text": "x"}],
        },
    },
    "symbols": {"id": 1, "method": "textDocument/documentSymbol", "params": {"textDocument": {"uri": PLACE}}},
    "a hover": {"id": 1, "method": "textDocument/hover", "params": {"textDocument": ABOUT, "position": PLACE}},
    "a lens": {
        "id": 1,
        "method": "codeLens/resolve",
        "params": {"range": {"start": HERE, "end": HERE}, "data": PLACE},
    },
    "a command": {"id": 1, "method": "workspace/executeCommand", "params": {"command": PLACE}},
    "a command's argument": {
        "id": 1,
        "method": "workspace/executeCommand",
        "params": {"command": "nanoscope.get_summary", "arguments": [PLACE]},
    },
    "a token": {"id": 1, "method": "get_status", "params": {"workDoneToken": PLACE}},
    "an id that is cancelled": {"method": "$/cancelRequest", "params": {"id": PLACE}},
    "a token that is cancelled": {"method": "window/workDoneProgress/cancel", "params": {"token": PLACE}},
    "an answer to nothing": {"id": PLACE, "result": PLACE},
}
EXCLUDES = {"messages": ("prompt",)}  # what may not be beside a param


@dataclass(frozen=True)
class Case:
    """A message with one hostile value in it."""

    kind: str
    name: str
    message: dict[str, Any]
    value: bytes

    def body(self) -> bytes:
        """Its JSON text."""
        text = json.dumps({"jsonrpc": "2.0"} | self.message).encode()
        return text.replace(json.dumps(PLACE).encode(), self.value)

    def answered_as(self) -> object:
        """The id that its answer has; None where there may be none, or null."""
        identifier = self.message.get("id")
        unclear = PLACE in (identifier, self.message.get("jsonrpc")) or "method" not in self.message
        return None if unclear else identifier


def cases(framing: str) -> Iterator[Case]:
    """All of a framing's."""
    for path, message, limit in [*_parameters(), *_beside(ENVELOPE), *(_beside(EDITOR) if framing == "editor" else ())]:
        is_key = path.endswith(" key")
        for kind, values in KINDS.items():
            if kind == "text" or not is_key:
                yield from (Case(kind, f"{path}: {name}", message, value) for name, value in values.items())
        if limit is not None:
            for name, size in (("the limit", limit), ("one more", limit + 1)):
                yield Case("limit", f"{path}: {name}", message, b'"' + b"x" * size + b'"')


Place = tuple[str, dict[str, Any], int | None]  # its path, the message with PLACE there, the limit of a text there


def _beside(messages: dict[str, dict[str, Any]]) -> Iterator[Place]:
    yield from ((name + " key" * (PLACE in str(message) and "name of" in name), message, None)
                for name, message in messages.items())  # fmt: skip


def _parameters() -> Iterator[Place]:
    """Every place in the params of every method, as their types have them."""
    for method in METHODS.values():
        if method.name in NEVER:
            continue
        asked = [example["params"] for example in examples_of(method) if "result" in example]
        base = min(asked or [{}], key=lambda params: len(json.dumps(params)))
        for field in _fields(inspect.type_info(method.params)):
            beside = {name: value for name, value in base.items() if name not in EXCLUDES.get(field.encode_name, ())}

            def build(value: Any, beside: Any = beside, name: str = field.encode_name) -> Any:
                return {"id": 1, "method": method.name, "params": beside | {name: value}}  # noqa: B023  used at once

            yield from _places(field.type, build, f"{method.name}.{field.encode_name}")


def _fields(kind: inspect.Type) -> tuple[inspect.Field, ...]:
    return kind.fields if isinstance(kind, inspect.StructType) else ()


def _places(kind: inspect.Type, build: Callable[[Any], Any], path: str) -> Iterator[Place]:
    """The places within a value; `build` puts it into its message."""
    kinds = tuple(map(_bare, kind.types)) if isinstance(kind := _bare(kind), inspect.UnionType) else (kind,)
    limits = [one.max_length for one in kinds if isinstance(one, inspect.StrType)]
    yield path, build(PLACE), next(iter(limits), None)
    for one in kinds:
        for field in _fields(one):
            needed = {other.encode_name: _example(other.type) for other in _fields(one) if other.required}
            inner = partial(_put, build, needed, field.encode_name)
            yield from _places(field.type, inner, f"{path}.{field.encode_name}")
        if isinstance(one, inspect.ListType):
            yield from _places(one.item_type, lambda value: build([value]), f"{path}[]")
        if isinstance(one, inspect.TupleType):
            yield from _places(one.item_types[0], lambda value: build([value, 1]), f"{path}[0]")
        if isinstance(one, inspect.DictType):
            yield f"{path}{{}}", build({"k": PLACE}), None
            yield f"{path}{{}} key", build({PLACE: 1}), None


def _bare(kind: inspect.Type) -> inspect.Type:
    """A type without what is said of it."""
    return _bare(kind.type) if isinstance(kind, inspect.Metadata) else kind


def _put(build: Callable[[Any], Any], needed: dict[str, Any], name: str, value: Any) -> Any:
    return build(needed | {name: value})


def _example(kind: inspect.Type) -> Any:
    kind = _bare(kind)
    return kind.values[-1] if isinstance(kind, inspect.LiteralType) else "x"
