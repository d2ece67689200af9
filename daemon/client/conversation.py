"""The line protocol from a client's side, without I/O: the bytes to send, and what becomes of the bytes that came."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from daemon.wire.decoding import inexact_in
from protocol import methods
from protocol.errors import RpcError
from protocol.methods import NOTIFICATIONS, Method
from protocol.types import (
    GenerationProgress,
    GetTensorResult,
    Params,
    RequestProgress,
)

if TYPE_CHECKING:
    import numpy as np

CHUNK = 256 * 1024  # bytes read at once
SHOWN = 20  # characters on either side of one that cannot be sent


class ConnectionLostError(ConnectionError):
    """The daemon went away before it had answered."""


@dataclass(frozen=True)
class Notice:
    """A notification: its name, and its params as their struct."""

    name: str
    params: Any


@dataclass(frozen=True)
class Reply:
    """What a request was answered."""

    method: Method
    result: Raw | None = None
    error: Exception | None = None

    def value(self) -> Any:
        """The result as its struct; raises RpcError, or ConnectionLostError where none will come."""
        if self.error is not None:
            raise self.error
        if self.method.result is None or self.result is None:
            return None
        try:
            return msgspec.json.decode(self.result, type=self.method.result)
        except msgspec.ValidationError as error:
            raise ConnectionLostError(f"The daemon's answer to {self.method.name} is none: {error}.") from error


Event = GenerationProgress | RequestProgress | Reply
Sink = Callable[[Event], None]


class _Frame(msgspec.Struct):
    """A line from the daemon: a response or a notification."""

    id: int | str | None = None
    result: Raw | UnsetType = UNSET
    error: dict[str, Any] | None = None
    method: str | None = None
    params: Raw | UnsetType = UNSET


_decoder = msgspec.json.Decoder(_Frame)


@dataclass
class Conversation:
    """The requests under way on one connection, and where their answers go.

    Requests may be made by any thread; `feed` and `end` belong to the one that reads.

    Args:
        on_notice: gets the notifications that belong to no request.
    """

    on_notice: Callable[[Notice], None]
    lost: ConnectionLostError | None = None
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _open: dict[int, tuple[Method, Sink]] = field(default_factory=dict)
    _line: list[bytes] = field(default_factory=list)

    def request(self, method: Method, params: Params | Mapping[str, Any], sink: Sink) -> tuple[int, bytes]:
        """A request's number and its bytes; all that comes of it goes to `sink`, a Reply last.

        Raises RpcError, INVALID_PARAMS, for what JSON cannot hold, or would hold as something else.
        """
        number = next(self._numbers)
        encoded = _encoded({"jsonrpc": "2.0", "id": number, "method": method.name, "params": params}) + b"\n"
        self._open[number] = (method, sink)
        if self.lost is not None:  # meanwhile: the one who took note of it may not have seen this request
            self._answer(number, Reply(method, error=self.lost))
        return number, encoded

    def cancellation(self, number: int) -> bytes:
        """The bytes that cancel a request; it is answered CANCELLED, or what it had come to already."""
        return self.request(methods.CANCEL, {"id": number}, lambda _: None)[1]

    def feed(self, data: bytes) -> None:
        """Take in what came, in pieces of any size. Raises ConnectionLostError if it is not of the protocol."""
        first, *rest = data.split(b"\n")
        self._line.append(first)
        for piece in rest:
            self._take(b"".join(self._line))
            self._line = [piece]

    def end(self, reason: str) -> ConnectionLostError:
        """No more will come: every request that waits is answered so."""
        self.lost = ConnectionLostError(f"The daemon went away: {reason}.")
        for number, (method, _) in list(self._open.items()):
            self._answer(number, Reply(method, error=_unanswered(method, reason)))
        return self.lost

    def _take(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            frame = _decoder.decode(line)
            if frame.method is not None:
                self._notify(frame.method, frame.params)
                return
        except msgspec.MsgspecError as error:
            raise ConnectionLostError(f"what it sent is not of the protocol ({error})") from error
        error = None if frame.error is None else RpcError.from_json(frame.error)
        if frame.id is None and error is not None:  # to something that it could not read: any of them
            for number, (method, _) in list(self._open.items()):
                self._answer(number, Reply(method, error=error))
        elif isinstance(frame.id, int) and frame.id in self._open:
            result = None if isinstance(frame.result, UnsetType) else frame.result
            self._answer(frame.id, Reply(self._open[frame.id][0], result, error))

    def _notify(self, name: str, params: Raw | UnsetType) -> None:
        row = NOTIFICATIONS.get(name)
        if row is None:
            return  # of a later protocol
        decoded = msgspec.json.decode(b"{}" if isinstance(params, UnsetType) else params, type=row.params)
        if not isinstance(decoded, GenerationProgress | RequestProgress):
            self.on_notice(Notice(name, decoded))
        elif isinstance(decoded.request, int) and decoded.request in self._open:
            self._open[decoded.request][1](decoded)

    def _answer(self, number: int, reply: Reply) -> None:
        waiting = self._open.pop(number, None)
        if waiting is not None:
            waiting[1](reply)


def check_text(text: str, what: str) -> None:
    """Raise RpcError, INVALID_PARAMS, for a text that UTF-8 cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RpcError("INVALID_PARAMS", f"{what}: {_half_character(error)}") from None


def _encoded(request: dict[str, Any]) -> bytes:
    params = request["params"]
    values = dict(params) if isinstance(params, Mapping) else msgspec.structs.asdict(params)
    problem = inexact_in(values.get("metadata"), "$.metadata")  # which may be anything
    try:
        body = b"" if problem else msgspec.json.encode(request)
    except UnicodeEncodeError as error:
        problem = inexact_in(msgspec.to_builtins(values)) or _half_character(error)
    except ValueError as error:  # a whole number with too many digits
        problem = f"It cannot be sent as JSON: {error}."
    else:
        if not problem and b"null" in body:  # NaN and infinity among them
            problem = inexact_in(msgspec.to_builtins(values))
        if not problem:
            return body
    raise RpcError("INVALID_PARAMS", f"{request['method']}: {problem}")


def _unanswered(method: Method, reason: str) -> ConnectionLostError:
    return ConnectionLostError(
        f"The daemon went away before it answered {method.name}: {reason}. What it had finished by then is kept; ask "
        "again for the rest, which starts a new daemon."
    )


def _half_character(error: UnicodeEncodeError) -> str:
    shown = ascii(error.object[max(0, error.start - SHOWN) : error.start + SHOWN])
    return (
        f"{shown} has half a character (a lone surrogate), which UTF-8 cannot hold: decode the bytes that it came from "
        "in their own encoding."
    )


def overdue(method: Method, seconds: float | None) -> TimeoutError:
    """The error of a request that took too long."""
    return TimeoutError(f"{method.name} was not answered within {seconds:g} s, and was cancelled.")


def pieces_of(error: RpcError, rows: tuple[int, int] | None) -> list[tuple[int, int]]:
    """The spans of rows in which to ask for what was too large at once. Raises the error where that is no help.

    Args:
        error: the daemon's TOO_LARGE.
        rows: what was asked for; None: all.
    """
    told: dict[str, Any] = error.data
    shape: list[int] = told.get("shape", [])
    step = shape[-2] // math.ceil(told["values"] / told["limit"]) if len(shape) > 1 else 0
    if error.name != "TOO_LARGE" or not step:
        raise error
    start = rows[0] if rows else 0
    stop = start + shape[-2]
    return [(first, min(first + step, stop)) for first in range(start, stop, step)]


def array_of(result: GetTensorResult) -> np.ndarray:
    """A tensor's values: float32 or float16 as they were sent, uint8 as the float32 that they stand for.

    Args:
        result: of `get_tensor`, in either encoding.
    """
    import base64

    import numpy as np

    if not isinstance(result.data, str):
        return np.array(result.data, np.float32).reshape(result.shape)
    stored = np.dtype(result.dtype).newbyteorder("<")
    array = np.frombuffer(base64.b64decode(result.data), stored).reshape(result.shape).astype(result.dtype)
    if result.dtype != "uint8" or result.minimum is None or result.maximum is None:
        return array
    return (result.minimum + array.astype(np.float32) / 255 * (result.maximum - result.minimum)).astype(np.float32)


def joined(pieces: list[np.ndarray]) -> np.ndarray:
    """Pieces of a tensor, cut by rows, as one."""
    import numpy as np

    return np.concatenate(pieces, axis=-2)
