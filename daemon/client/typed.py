"""A method of the table as a method of a client, with its params and its result for type checkers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from protocol.methods import Method
from protocol.types import Params

P = ParamSpec("P")
R = TypeVar("R")


class Caller(Protocol):
    """A client: `call` asks and gives the result, or what to await for it."""

    def call(self, method: Method, params: Params) -> Any: ...


def call(method: Method, params: Callable[P, Params], result: type[R]) -> Callable[Concatenate[Caller, P], R]:
    """A method of Client. It takes the fields of its params, and gives its result."""

    def asked(self: Caller, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.call(method, params(*args, **kwargs))

    asked.__name__ = asked.__qualname__ = method.name
    asked.__doc__ = method.summary
    return asked


def async_call(
    method: Method, params: Callable[P, Params], result: type[R]
) -> Callable[Concatenate[Caller, P], Awaitable[R]]:
    """The same of AsyncClient."""
    return cast("Callable[Concatenate[Caller, P], Awaitable[R]]", call(method, params, result))
