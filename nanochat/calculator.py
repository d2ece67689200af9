"""The calculator that chat models call: arithmetic and counting letters, without `eval`, bounded in time and size."""

import ast
import operator
import re
from collections.abc import Callable

MAX_LENGTH = 200  # characters of an expression
MAX_DIGITS = 100  # of a whole number on the way or in the result
ARITHMETIC = re.compile(r"[0-9+\-*/.() ]*")
LITERAL = re.compile(r"""(?<![a-zA-Z])(?:"[^"]*"|'[^']*')""")
AROUND_LITERALS = re.compile(r"[a-z.() ]*")  # no digits: Python warns of such as `1or 2` on stderr

BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}
UNARY: dict[type[ast.unaryop], Callable[[float], float]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}


def use_calculator(expression: str) -> int | float | None:
    """Evaluate what a model wrote between `<|python_start|>` and `<|python_end|>`.

    Numbers with + - * / // and parentheses (commas inside numbers are dropped), and `"text".count("part")`, the text
    perhaps in lower or upper case. Works in any thread: there is no alarm signal to wait for, since nothing that it
    admits can take long.

    Returns:
        The value, or None for anything else, for division by zero and for numbers out of bounds.
    """
    expression = expression.replace(",", "").strip()
    if not expression or len(expression) > MAX_LENGTH or "\\" in expression:
        return None
    if not (ARITHMETIC.fullmatch(expression) or AROUND_LITERALS.fullmatch(LITERAL.sub("", expression))):
        return None
    try:
        tree = ast.parse(expression, mode="eval")
        return _count(tree.body) if isinstance(tree.body, ast.Call) else _number(tree.body)
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError):
        return None


def _number(node: ast.expr) -> int | float:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return _bounded(value)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            return _bounded(BINARY[type(op)](_number(left), _number(right)))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in UNARY:
            return UNARY[type(op)](_number(operand))
    raise ValueError("not arithmetic")


def _bounded(value: int | float) -> int | float:
    if isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
        raise OverflowError("too many digits")
    return value


def _count(node: ast.Call) -> int:
    match node:
        case ast.Call(
            func=ast.Attribute(value=text, attr="count"), args=[ast.Constant(value=str() as part)], keywords=[]
        ):
            return _text(text).count(part)
    raise ValueError("not a count")


def _text(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.Call(func=ast.Attribute(value=text, attr="lower"), args=[], keywords=[]):
            return _text(text).lower()
        case ast.Call(func=ast.Attribute(value=text, attr="upper"), args=[], keywords=[]):
            return _text(text).upper()
    raise ValueError("not a text")
