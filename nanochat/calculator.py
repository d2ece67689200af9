"""The calculator that chat models call: nanochat's own results, without `eval`, bounded in time and size."""

from __future__ import annotations

from typing import Any

from nanochat.expression import PLAIN, evaluate, parsed

MAX_LENGTH = 100_000  # characters of an expression
ARITHMETIC = frozenset("0123456789*+-/.() ")
TEXT = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'\"()._ ")
# Refused wherever they stand, inside a text too: `'directory'.count('r')` has no answer.
REFUSED = (
    *("__", "import", "exec", "eval", "compile", "open", "file", "input", "raw_input", "globals", "locals", "vars"),
    *("dir", "getattr", "setattr", "delattr", "hasattr"),
)
RESULTS = (*PLAIN, type(...))
WHAT_PYTHON_RAISES = (
    *(SyntaxError, NameError, AttributeError, TypeError, ValueError, LookupError, ArithmeticError),
    *(RuntimeError, MemoryError, StopIteration),
)


def use_calculator(expression: str) -> Any:
    """Evaluate what a model wrote between `<|python_start|>` and `<|python_end|>`, as nanochat does.

    Numbers with + - * / // and parentheses, or an expression of texts that has `.count(` in it; commas are dropped.
    nanochat gives such an expression to Python's eval for up to three seconds; this computes the same without it.
    Works in any thread: there is no alarm signal to wait for, since nothing that it admits can take long.

    Returns:
        The value, of whatever type it is, as nanochat gives it. None for what nanochat gives None for (a character
        that it does not allow, `**`, an error, a timeout), and besides for what docs/calculator.md lists.
    """
    expression = expression.replace(",", "")
    if len(expression) > MAX_LENGTH or not _is_allowed(expression):
        return None
    try:
        result = evaluate(parsed(expression.lstrip(" ")))
    except WHAT_PYTHON_RAISES:
        return None
    return result if type(result) in RESULTS else None  # methods and generators are named by their addresses


def _is_allowed(expression: str) -> bool:
    if ARITHMETIC.issuperset(expression):
        return "**" not in expression
    lowered = expression.lower()
    return TEXT.issuperset(expression) and ".count(" in expression and not any(word in lowered for word in REFUSED)
