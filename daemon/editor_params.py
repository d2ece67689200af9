"""What editors put around a method's params: a command's name, a token for progress."""

from __future__ import annotations

from typing import Any

from protocol.errors import RpcError
from protocol.methods import METHODS

COMMAND = "nanoscope."  # and a method's name: the same as a command
EXECUTE_COMMAND = "workspace/executeCommand"

Token = int | str


def member(value: object, name: str) -> Any:
    """A member of an object, or None."""
    return value.get(name) if isinstance(value, dict) else None


def unwrap(method: str, params: object) -> tuple[str, object, Token | None]:
    """The method that is meant, its own params, and the token for its progress. Raises RpcError: INVALID_PARAMS."""
    params, token = take_token(params)
    if method != EXECUTE_COMMAND:
        return method, params, token
    method, params = _command(params)
    params, inner = take_token(params)
    return method, params, inner if token is None else token


def take_token(params: object) -> tuple[object, Token | None]:
    """Params without their `workDoneToken`, and the token."""
    if not isinstance(params, dict) or "workDoneToken" not in params:
        return params, None
    token = params["workDoneToken"]
    if token is not None and (not isinstance(token, int | str) or isinstance(token, bool)):
        raise RpcError("INVALID_PARAMS", "A workDoneToken is a string or an integer.")
    return {name: value for name, value in params.items() if name != "workDoneToken"}, token


def _command(params: object) -> tuple[str, object]:
    """The method that a command stands for, and its params."""
    command, arguments = member(params, "command"), member(params, "arguments") or []
    method = command.removeprefix(COMMAND) if isinstance(command, str) else ""
    if command != COMMAND + method or method not in METHODS:
        raise RpcError("INVALID_PARAMS", f"There is no command {str(command)[:80]!r}; `initialize` lists them.")
    if not isinstance(arguments, list) or len(arguments) > 1:
        raise RpcError("INVALID_PARAMS", f"{command} takes one argument, an object with the method's params.")
    return method, arguments[0] if arguments else None
