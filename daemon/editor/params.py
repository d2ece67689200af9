"""What editors put around a method's params, a command's name or a token for progress; and limits of what is LSP's."""

from __future__ import annotations

import contextlib
import re
from typing import Any, NamedTuple

import msgspec

from daemon.wire.decoding import exact, inexact_in
from protocol.errors import RpcError
from protocol.methods import METHODS

COMMAND = "nanoscope."  # and a method's name: the same as a command
EXECUTE_COMMAND = "workspace/executeCommand"

INITIALIZE = "initialize"
TEXTS = ("textDocument/didOpen", "textDocument/didChange")  # what the text of a document is made of
URI_LIMIT = 8192  # characters of a document's uri
CHANGES_LIMIT = 10_000  # in one didChange
TOKEN_LIMIT = 1000  # characters of a token for progress
_ABOUT_DOCUMENT = re.compile(rb'"method"[ \t\r\n]*+:[ \t\r\n]*+"textDocument/')
_METHOD = re.compile(rb'"method"[ \t\r\n]*+:')
_URI = re.compile(rb'"uri"[ \t\r\n]*+:[ \t\r\n]*+("(?:[^"\\]|\\.)*+")', re.DOTALL)
_LANGUAGE = re.compile(rb'"languageId"[ \t\r\n]*+:[ \t\r\n]*+("(?:[^"\\]|\\.)*+")', re.DOTALL)

Token = int | str


class AboutDocument(NamedTuple):
    """What a message is about that could not be taken; None where that cannot be read.

    Args:
        language: the editor's word for it, which `didOpen` alone has.
    """

    uri: str | None
    language: str | None


def about_document(head: bytes, tail: bytes = b"") -> AboutDocument | None:
    """Which document a message is about that is not taken as JSON, from its beginning and end; None: about none."""
    edges = head, tail  # looked at one by one, for what is between them is missing
    if any(map(_METHOD.search, edges)) and not any(map(_ABOUT_DOCUMENT.search, edges)):
        return None
    return AboutDocument(_text_in(edges, _URI), _text_in(edges, _LANGUAGE))


def _text_in(edges: tuple[bytes, ...], pattern: re.Pattern[bytes]) -> str | None:
    found = next(filter(None, map(pattern.search, edges)), None)
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        return None if found is None else msgspec.json.decode(found[1], type=str)
    return None


def about_params(params: object) -> AboutDocument:
    """Which document the params of `didOpen` or `didChange` are about."""
    language = member(member(params, "textDocument"), "languageId")
    return AboutDocument(uri_of(params), language if isinstance(language, str) else None)


def as_taken(value: object) -> Any:
    """A message that is not all as it was sent, as far as it can be taken.

    Texts keep halves of characters: the other half may follow with the next change. Elsewhere in notifications they
    are replaced.

    Raises:
        RpcError: INVALID_PARAMS, for a request, and for a method of ours, which would keep something else.
    """
    method, is_request = member(value, "method"), member(value, "id") is not None
    if method in TEXTS and not is_request:
        return value
    problem = inexact_in(value) if method != INITIALIZE and (is_request or method in METHODS) else None
    if problem is not None:
        raise RpcError("INVALID_PARAMS", problem)
    return exact(value)


def uri_of(params: object) -> str | None:
    """The document that the params of one of LSP's methods are about."""
    uri = member(member(params, "textDocument"), "uri")
    return uri if isinstance(uri, str) else None


def check_limits(method: str, params: object) -> None:
    """Raise RpcError, INVALID_PARAMS, for a text, a uri or a number of changes that no editor sends."""
    if method == TEXTS[0] and not isinstance(member(member(params, "textDocument"), "text"), str):
        raise RpcError("INVALID_PARAMS", f"{method}: the text is none.")  # LSP's types would make one of any value
    if len(uri_of(params) or "") > URI_LIMIT:
        raise RpcError("INVALID_PARAMS", f"{method}: a uri has {URI_LIMIT:,} characters at most.")
    changes = member(params, "contentChanges")
    if isinstance(changes, list) and len(changes) > CHANGES_LIMIT:
        message = f"{method}: it has {len(changes):,} changes, and may have {CHANGES_LIMIT:,}: send the whole text."
        raise RpcError("INVALID_PARAMS", message)


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
    if token is not None and (not isinstance(token, int | str) or isinstance(token, bool) or _is_long(token)):
        message = f"A workDoneToken is an integer, or a string of at most {TOKEN_LIMIT:,} characters."
        raise RpcError("INVALID_PARAMS", message)
    return {name: value for name, value in params.items() if name != "workDoneToken"}, token


def _is_long(token: Token) -> bool:
    return isinstance(token, str) and len(token) > TOKEN_LIMIT


def _command(params: object) -> tuple[str, object]:
    """The method that a command stands for, and its params."""
    command, arguments = member(params, "command"), member(params, "arguments") or []
    method = command.removeprefix(COMMAND) if isinstance(command, str) else ""
    if command != COMMAND + method or method not in METHODS:
        raise RpcError("INVALID_PARAMS", f"There is no command {str(command)[:80]!r}; `initialize` lists them.")
    if not isinstance(arguments, list) or len(arguments) > 1:
        raise RpcError("INVALID_PARAMS", f"{command} takes one argument, an object with the method's params.")
    return method, arguments[0] if arguments else None
