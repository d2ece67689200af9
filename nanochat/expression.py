"""A Python expression's value without `eval`: a walk over its syntax tree, bounded in time and size.

It knows what can be written without commas, colons, brackets and operators other than + - * / //: numbers, texts and
their methods, `and`, `or`, `not`, `in`, `is`, `if`, and generator expressions.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Generator, Iterator
from types import BuiltinMethodType, GeneratorType
from typing import Any

WORK = 50_000_000  # bytes read or made, in all
STEP = 100  # what a part of an expression costs each time it is come to, a microsecond
ITEM = 64  # bytes of a list's item
PLACE = "<calculator>"  # what Python calls the expression in its warnings

BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
}
COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.In: lambda item, container: item in container,
    ast.NotIn: lambda item, container: item not in container,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}

# Nothing that these have without an underscore leads anywhere else.
PLAIN = (str, bytes, int, bool, float, complex, tuple, list)
OF_GENERATORS = ("send", "throw", "close")  # the others lead to frames
ADDING = ("append", "extend", "insert")  # lists in lists take endless time to compare
ENCODINGS = frozenset(
    [
        *("utf8", "utf_8", "u8", "utf_8_sig", "utf16", "utf_16", "utf32", "utf_32"),
        *("ascii", "us_ascii", "latin1", "latin_1", "l1", "iso8859_1", "cp1252"),
    ]
)  # others take time that grows with the square of a text's length, or import something


class RefusedError(ValueError):
    """An expression that is not computed: too much work, or no arithmetic and no method of a text."""


def parsed(expression: str) -> ast.expr:
    """The syntax tree of an expression; SyntaxError and the like as Python raises them, and no warning of its."""
    # A filter for this place alone, and not a block that puts the old ones back: threads share them.
    warnings.filterwarnings("ignore", module=PLACE)
    return ast.parse(expression, PLACE, mode="eval").body


def evaluate(expression: ast.expr) -> Any:
    """What `eval` gives in an empty namespace.

    Raises:
        RefusedError: it takes too much work, or has a part that is not known.
        Whatever Python raises of it: NameError, TypeError, ZeroDivisionError and so on.
    """
    if any(isinstance(part, ast.Await | ast.Yield | ast.YieldFrom) for part in ast.walk(expression)):
        raise RefusedError("only functions may wait or yield")
    return _Evaluation().value(expression, _Names(frozenset(), None))


class _Names:
    """The variables of one generator expression, and of those around it."""

    def __init__(self, own: frozenset[str], around: _Names | None):
        self.own, self.around = own, around
        self.values: dict[str, Any] = {}

    def get(self, name: str) -> Any:
        """A variable's value; NameError where it has none yet."""
        names: _Names | None = self
        while names is not None and name not in names.own:
            names = names.around
        if names is None or name not in names.values:
            raise NameError(name)
        return names.values[name]

    def assign(self, target: ast.expr, item: Any) -> None:
        """What `for target in` does with an item."""
        match target:
            case ast.Name(id=name):
                self.values[name] = item
            case ast.Tuple(elts=[]):
                () = item
            case _:
                raise RefusedError("not a variable")


class _Evaluation:
    """One expression being computed: the work that is left, and its constants, each of which is one object."""

    def __init__(self) -> None:
        self.left = WORK
        self.constants: dict[tuple[type, Any], Any] = {}

    def spend(self, work: int) -> None:
        self.left -= work
        if self.left < 0:
            raise RefusedError("too much work")

    def value(self, expression: ast.expr, names: _Names) -> Any:
        """However deep it is: what waits for its parts is on a list, not on Python's stack."""
        waiting, value = [self._steps(expression, names)], None
        while waiting:
            self.spend(STEP)
            try:
                part = waiting[-1].send(value)
            except StopIteration as finished:
                waiting.pop()
                value = finished.value
            else:
                waiting.append(self._steps(part, names))
                value = None
        return value

    def _steps(self, node: ast.expr, names: _Names) -> Generator[ast.expr, Any, Any]:
        """A part's value: yields each part that it is made of, and is sent that one's value."""
        match node:
            case ast.Constant(value=value):
                self.spend(_size(value))
                return self.constants.setdefault((type(value), value), value)
            case ast.Name(id=name):
                return names.get(name)
            case ast.Tuple(elts=[]):
                return ()
            case ast.BinOp(left=left, op=op, right=right):
                return BINARY[type(op)]((yield left), (yield right))
            case ast.UnaryOp(op=op, operand=operand):
                return UNARY[type(op)]((yield operand))
            case ast.BoolOp(op=op, values=[*first, last]):
                for part in first:
                    value = yield part
                    if bool(value) is isinstance(op, ast.Or):
                        return value
                return (yield last)
            case ast.IfExp(test=test, body=body, orelse=otherwise):
                return (yield body if (yield test) else otherwise)
            case ast.Compare(left=left, ops=ops, comparators=others):
                return (yield from self._comparison(left, ops, others))
            case ast.JoinedStr(values=texts):
                return "".join(
                    str(text.value) for text in texts if isinstance(text, ast.Constant)
                )  # no field: no braces
            case ast.Attribute(value=owner, attr=name):
                return _attribute((yield owner), name)
            case ast.Call(func=function, args=arguments, keywords=[]):
                called, values = (yield function), []
                for argument in arguments:
                    values.append((yield argument))
                return self._call(called, values)
            case ast.GeneratorExp(generators=[first, *_]):
                targets = [part for loop in node.generators for part in ast.walk(loop.target)]
                own = frozenset(part.id for part in targets if isinstance(part, ast.Name))
                return self._items(node, 0, iter((yield first.iter)), _Names(own, names))
        raise RefusedError(f"{type(node).__name__} is not known")

    def _comparison(
        self, left: ast.expr, ops: list[ast.cmpop], others: list[ast.expr]
    ) -> Generator[ast.expr, Any, Any]:
        value, found = (yield left), True
        for op, other in zip(ops, others, strict=True):
            following = yield other
            self.spend(_search_work(following, value))
            found = COMPARISONS[type(op)](value, following)
            if not found:
                break
            value = following
        return found

    def _items(self, node: ast.GeneratorExp, depth: int, items: Iterator[Any], names: _Names) -> Generator[Any]:
        """What a generator expression yields, from its loop number `depth` on."""
        loop = node.generators[depth]
        if loop.is_async:
            raise RefusedError("only functions may wait")
        for item in items:
            self.spend(STEP)
            names.assign(loop.target, item)
            if not all(self.value(condition, names) for condition in loop.ifs):
                continue
            if depth + 1 == len(node.generators):
                yield self.value(node.elt, names)
            else:
                following = iter(self.value(node.generators[depth + 1].iter, names))
                yield from self._items(node, depth + 1, following, names)

    def _call(self, function: Any, arguments: list[Any]) -> Any:
        if not isinstance(function, BuiltinMethodType):
            raise TypeError("not callable")
        owner, name = function.__self__, function.__name__
        if name in ADDING:
            raise RefusedError("lists stay as they are")
        if name == "join":  # as it does itself first
            arguments = [list(part) if isinstance(part, GeneratorType) else part for part in arguments]
        self.spend(_size(owner) + sum(map(_size, arguments)))
        if arguments and name in WORK_OF:
            self.spend(WORK_OF[name](owner, arguments[0]))
        result = function(*arguments)
        self.spend(_size(result))
        return result


def _attribute(owner: Any, name: str) -> Any:
    allowed = type(owner) in PLAIN and not name.startswith("_")
    if not allowed and not (isinstance(owner, GeneratorType) and name in OF_GENERATORS):
        raise RefusedError(f"no {name} there")
    return getattr(owner, name)


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value) if value.isascii() else 4 * len(value)
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, int):
        return value.bit_length() // 8
    if isinstance(value, tuple | list):
        return ITEM * len(value) + sum(len(item) for item in value if isinstance(item, str | bytes))
    return 0


def _search_work(text: Any, part: Any) -> int:
    """From the left Python searches in linear time, but for parts of up to a hundred characters."""
    return _size(text) * (1 + min(_size(part), 100) // 8)


def _product(text: Any, part: Any) -> int:
    return _size(text) * _size(part)


def _width(text: Any, width: Any) -> int:
    return (1 if isinstance(text, str) and text.isascii() else 4) * max(width, 0) if isinstance(width, int) else 0


def _tabs(text: Any, width: Any) -> int:
    return _width(text, width) * text.count("\t" if isinstance(text, str) else b"\t")


def _longest(text: Any, table: Any) -> int:
    return _size(text) * max(map(_size, table), default=0) if isinstance(table, tuple | list) else 0


def _encoding(text: Any, name: Any) -> int:
    if isinstance(name, str) and name.lower() not in ENCODINGS:
        raise RefusedError(f"{name} is not encoded to")
    return 4 * _size(text)


def _format(text: Any, value: Any) -> int:
    if "{" in text or "}" in text:
        raise RefusedError("a field of a format may say anything")
    return 0


# What a method's first argument makes it read or write beyond itself and its text.
WORK_OF: dict[str, Callable[[Any, Any], int]] = {
    **dict.fromkeys(("count", "find", "index", "split", "partition", "startswith", "endswith"), _search_work),
    **dict.fromkeys(("rfind", "rindex", "rsplit", "rpartition", "strip", "lstrip", "rstrip"), _product),
    **dict.fromkeys(("zfill", "center", "ljust", "rjust", "to_bytes"), _width),
    **dict.fromkeys(("encode", "decode"), _encoding),
    **dict.fromkeys(("format", "format_map"), _format),
    "expandtabs": _tabs,
    "translate": _longest,
    "join": lambda between, parts: _size(between) * len(parts) if isinstance(parts, str | bytes | tuple | list) else 0,
}
