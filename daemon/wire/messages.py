"""JSON-RPC 2.0 as values: what a request must be, and how answers and notifications are written."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from daemon.wire.decoding import is_whole_text
from daemon.wire.framing import MIB, FramingError, encode
from nanochat.system.text import shortened
from protocol.errors import RpcError

ANSWER_LIMIT = 24 * MIB  # bytes of one outgoing message
ID_LIMIT = 1000  # characters of a request's id, which is in every message about it
ECHO_LIMIT = 1 << 16  # characters of an id that is refused, and answered with
METHOD_LIMIT = 200  # characters kept of a method's name
MESSAGE_LIMIT = 2000  # characters of an error's message: what a client sent may be in it

Id = int | float | str | None
Frame = Callable[[bytes], bytes]
log = logging.getLogger("nanoscope.connection")


class Request(NamedTuple):
    """A request, or a notification: that one wants no answer. `params` is None where there are none in it."""

    id: Id
    method: str
    params: dict[str, Any] | list[Any] | None
    wants_answer: bool


def read_request(value: object) -> Request:
    """A decoded message as a request; names that JSON-RPC does not know are ignored.

    Raises:
        RpcError: INVALID_REQUEST; `id_of` tells whom to answer.
    """
    if not isinstance(value, dict):
        raise _invalid("A request is an object.")
    if value.get("jsonrpc") != "2.0":
        raise _invalid('A request has "jsonrpc": "2.0".')
    if "id" in value and not is_id(value["id"]):
        raise _invalid(f"The id of a request is a number, or a string of at most {ID_LIMIT:,} characters.")
    method, params = value.get("method"), value.get("params")
    if not isinstance(method, str):
        raise _invalid("A request has a method, which is a string.")
    if params is not None and not isinstance(params, dict | list):
        raise _invalid("The params of a request are an object.")
    return Request(value.get("id"), method[:METHOD_LIMIT], params or None, "id" in value)


def id_of(value: object) -> Id:
    """The id to answer a message with that is no request: null where it has none that is valid."""
    if isinstance(value, FramingError):
        return value.id
    found = value.get("id") if isinstance(value, dict) else None
    return found if is_id(found, ECHO_LIMIT) else None


def is_id(value: object, limit: int = ID_LIMIT) -> bool:
    """Whether it may be an id: null, a number that JSON can hold, or a string that is not too long."""
    if isinstance(value, str):
        return len(value) <= limit and is_whole_text(value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


def _invalid(message: str) -> RpcError:
    return RpcError("INVALID_REQUEST", message)


def duplicate(identifier: Id) -> RpcError:
    """The error for an id that another request in flight has."""
    return _invalid(f"The id {identifier!r} belongs to a request that is not yet answered: use another.")


def cancelled(method: str) -> RpcError:
    """The error for a request that was cancelled before its handler could say so."""
    return RpcError("CANCELLED", f"Cancelled: {method} was stopped.")


def broken(method: str, fault: BaseException) -> RpcError:
    """The error for a request that no handler answers for; the log has its traceback."""
    log.error("%s failed", method, exc_info=fault)
    return RpcError("INTERNAL_ERROR", f"{method} failed for a reason of the daemon's own; `nanoscope logs` has it.")


def success(identifier: Id, result: object) -> dict[str, Any]:
    """A response with a result."""
    return {"jsonrpc": "2.0", "id": identifier, "result": result}


def failure(identifier: Id, error: RpcError) -> dict[str, Any]:
    """A response with an error; of a very long message its middle is left out."""
    return {
        "jsonrpc": "2.0",
        "id": identifier,
        "error": error.as_json() | {"message": shortened(error.message, MESSAGE_LIMIT)},
    }


def encode_response(response: dict[str, Any], limit: int = ANSWER_LIMIT) -> bytes:
    """A response as JSON: an error in its place where it cannot be written, or has more than `limit` bytes."""
    try:
        body = encode(response)
    except Exception:
        log.exception("An answer could not be written as JSON")
        message = "The answer could not be written as JSON; `nanoscope logs` has the reason."
        return encode(failure(response["id"], RpcError("INTERNAL_ERROR", message)))
    if len(body) > limit:
        return encode(failure(response["id"], _too_large(response, len(body), max(limit, 0))))
    return body


def _too_large(response: dict[str, Any], size: int, limit: int) -> RpcError:
    """The error in place of an answer that does not fit; of one that tells of a trace it tells at least which."""
    message = f"The answer has {size:,} bytes, and the message has room for {limit:,}: ask for less."
    trace_id = getattr(response.get("result"), "trace_id", None)
    if not isinstance(trace_id, str):
        return RpcError("TOO_LARGE", message)
    message = f"{message[:-1]}, or read the file of {trace_id[:ID_LIMIT]}, the trace that it is about."
    return RpcError("TOO_LARGE", message, {"trace_id": trace_id[:ID_LIMIT]})


def framed_notification(frame: Frame, notification: dict[str, Any]) -> bytes:
    """A notification in a connection's framing; nothing where it cannot be written, which is logged."""
    try:
        return frame(encode(notification))
    except Exception:
        log.exception("A notification %s could not be written as JSON", notification["method"])
        return b""
