"""pygls made fit for many clients: plain params, bounded memory, our JSON and our errors, all through an outbox.

The one file that uses what is private to pygls, whose range in pyproject.toml ends before the next major version.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Container, Coroutine
from contextvars import ContextVar
from typing import Any, cast

import cattrs
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer
from pygls.protocol import JsonRPCNotification, JsonRPCRequestMessage, LanguageServerProtocol, default_converter

from daemon.editor.params import check_limits, member
from daemon.wire.framing import editor_frame
from daemon.wire.messages import Id, duplicate, encode_response, failure, framed_notification, id_of, is_id, success
from daemon.wire.outbox import StreamOutbox
from protocol.errors import BY_CODE, ERRORS, RpcError
from protocol.methods import METHODS

OURS = METHODS.keys() - {lsp.SHUTDOWN}  # an editor's `shutdown` is LSP's
# Params that stay plain values: of our own methods, and of those that must work whatever a client puts into them.
PLAIN = OURS | {
    lsp.INITIALIZED, lsp.SHUTDOWN, lsp.EXIT, lsp.CANCEL_REQUEST, lsp.WORKSPACE_EXECUTE_COMMAND,
    lsp.WINDOW_WORK_DONE_PROGRESS_CANCEL,
}  # fmt: skip
VALUES_LIMIT = 20_000  # in a message that LSP's types are made of, which takes twenty times as long as reading it
ARRIVAL: ContextVar[int] = ContextVar("ARRIVAL")  # the number of the message that is being answered
INITIALIZE_LEAST = {"processId": None, "rootUri": None, "capabilities": {}}


@functools.cache
def shared_converter() -> cattrs.Converter:
    """pygls's own, once for all connections: it takes 15 ms to make."""
    return default_converter()


class PlainProtocol(LanguageServerProtocol):
    """What pygls does with a message, without what hurts when there are many clients.

    Args:
        outbox: takes what goes to this client.
    """

    def __init__(self, server: LanguageServer, converter: cattrs.Converter, outbox: StreamOutbox):
        super().__init__(server, converter)
        self.outbox = outbox
        self.plain: set[str] = set()  # methods besides those above whose params stay plain
        self.arrivals = 0  # requests and notifications so far

    def structure_message(self, data: dict[str, Any]) -> Any:
        """A message as what pygls handles: of its own type where LSP defines one, else with its params as they are.

        From an `initialize` that LSP's types do not fit, what matters here is taken.

        Args:
            data: {"jsonrpc", "method", "params"}, and "id" where it is a request.
        """
        self.arrivals += 1
        ARRIVAL.set(self.arrivals)
        if data["method"] != lsp.INITIALIZE:
            return self._structured(data)
        params = data["params"] if isinstance(data["params"], dict) else {}
        try:
            return self._structured(data | {"params": INITIALIZE_LEAST | params})
        except RpcError:
            options = {"initializationOptions": params.get("initializationOptions")}
            return self._structured(data | {"params": INITIALIZE_LEAST | options})

    def _structured(self, data: dict[str, Any]) -> Any:
        check_limits(data["method"], data["params"])
        kind = self.get_message_type(data["method"])
        if kind is None:
            return (JsonRPCRequestMessage if "id" in data else JsonRPCNotification)(**data)
        if not _is_small(data["params"]):
            message = f"{data['method']}: its params hold more than {VALUES_LIMIT:,} values."
            raise RpcError("INVALID_PARAMS", message)
        try:
            return self._converter.structure(data, kind)
        except Exception as error:
            message = f"{data['method']}: its params are not as the Language Server Protocol has them."
            raise RpcError("INVALID_PARAMS", message) from error

    def get_message_type(self, method: str) -> type[Any] | None:
        """LSP's type of a message; None where its params stay plain values."""
        return None if method in PLAIN or method in self.plain else lsp.METHOD_TO_TYPES.get(method, (None,))[0]

    def get_result_type(self, method: str) -> type[Any] | None:
        """LSP's type of a response. (pygls's own keeps every connection in a cache.)"""
        return lsp.METHOD_TO_TYPES.get(method, (None, None))[1]

    def check_id(self, identifier: Id, taken: Container[object]) -> None:
        """Raise RpcError, INVALID_REQUEST, for an id that a request of an editor's cannot have now."""
        if identifier is None or isinstance(identifier, float):
            raise RpcError("INVALID_REQUEST", "The id of an editor's request is a string or an integer.")
        if identifier in taken or identifier in self._request_futures:
            raise duplicate(identifier)

    def take_response(self, value: dict[str, Any]) -> None:
        """What the editor answers to a request of ours; what we have not asked is ignored."""
        asked = cast("int | str", id_of(value))
        if asked in self._result_types:
            with contextlib.suppress(JsonRpcException):
                self.handle_message(cast("Any", super().structure_message(value)))
            self._result_types.pop(asked, None)

    def begin_own(self, identifier: int | str | None, method: str, params: object) -> None:
        """Take a request or, without an id, a notification that pygls itself does not answer."""
        raise NotImplementedError

    def cancel_own(self, identifier: Any) -> bool:
        """Cancel a request that `begin_own` has taken; False where there is none of that id."""
        raise NotImplementedError

    @property
    def ending(self) -> bool:
        """Whether the editor has said `shutdown`, or is gone."""
        return self._shutdown

    @ending.setter
    def ending(self, ending: bool) -> None:
        self._shutdown = ending

    def run(
        self,
        key: Any,
        work: Callable[..., Coroutine[Any, Any, None]],
        done: Callable[[asyncio.Future[None]], None],
        arguments: tuple[Any, ...],
    ) -> asyncio.Task[None]:
        """Run something of our own among pygls's requests, under a key that is free."""
        self._execute_handler(key, work, done, arguments)
        return cast("asyncio.Task[None]", self._request_futures[key])

    async def feature(self, method: str, params: Any) -> Any:
        """What a feature that was added to the server answers, as plain values."""
        return self._converter.unstructure(await self.fm.features[method](params))

    def cancel_features(self) -> None:
        """Cancel whatever runs."""
        for future in list(self._request_futures.values()):
            future.cancel()

    def _is_own(self, method: str) -> bool:
        return method in OURS or method == lsp.WORKSPACE_EXECUTE_COMMAND

    def _is_feature(self, method: str) -> bool:
        return method in self.fm.builtin_features or method in self.fm.features

    def _handle_request(self, msg_id: int | str, method_name: str, params: Any) -> None:
        if self._is_own(method_name) or method_name not in self.fm.builtin_features:
            self.begin_own(msg_id, method_name, params)
        else:
            super()._handle_request(msg_id, method_name, params)

    def _handle_notification(self, method_name: str, params: Any) -> None:
        if method_name == lsp.CANCEL_REQUEST:
            self._handle_cancel_notification(member(params, "id"))
        elif method_name in OURS:
            self.begin_own(None, method_name, params)
        elif self._is_feature(method_name):
            super()._handle_notification(method_name, params)

    def _handle_cancel_notification(self, msg_id: Any) -> None:
        if is_id(msg_id) and not self.cancel_own(msg_id) and msg_id in self._request_futures:
            self._request_futures[msg_id].cancel()

    def _execute_handler(
        self,
        msg_id: int | str,
        handler: Callable[..., Any],
        callback: Callable[[Any], None],
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        """As pygls does it, but forgetting a notification's future when it is done."""

        def done(future: Any) -> None:
            self._request_futures.pop(msg_id, None)
            callback(future)

        super()._execute_handler(msg_id, handler, done, args, kwargs)

    def respond(self, response: dict[str, Any]) -> None:
        """Send a response."""
        self.outbox.send(editor_frame(encode_response(response)))

    def send(self, notification: dict[str, Any]) -> None:
        """Send a notification, or a request of ours; threads may call it."""
        self.outbox.send(framed_notification(editor_frame, notification))

    def _send_response(self, msg_id: int | str, result: Any = None, error: lsp.ResponseError | None = None) -> None:
        """pygls's way to answer LSP's own methods."""
        if error is None:
            self.respond(success(msg_id, self._converter.unstructure(result)))
            return
        row = BY_CODE.get(error.code, ERRORS["INTERNAL_ERROR"])
        message = error.message if row.name != "INTERNAL_ERROR" else row.meaning  # pygls puts exceptions into it
        self.respond(failure(msg_id, RpcError(row.name, message)))

    def _send_data(self, data: Any) -> None:
        """pygls's way to send notifications and requests of its own."""
        self.send(self._converter.unstructure(data))


def _is_small(params: object) -> bool:
    """Whether params hold few enough values."""
    left, waiting = VALUES_LIMIT, [params]
    while waiting and left >= 0:
        value = waiting.pop()
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        left -= len(inside)
        if left >= 0:
            waiting.extend(inside)
    return left >= 0
