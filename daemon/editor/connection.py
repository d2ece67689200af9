"""The connection of an editor: the Language Server Protocol by pygls, one language server each, all on one state."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

import cattrs
from lsprotocol import types as lsp
from pygls.exceptions import FeatureNotificationError, JsonRpcException
from pygls.lsp.server import LanguageServer
from pygls.protocol import lsp_method

from daemon.editor import documents
from daemon.editor.params import (
    COMMAND,
    TEXTS,
    AboutDocument,
    Token,
    about_document,
    about_params,
    as_taken,
    member,
    unwrap,
)
from daemon.editor.progress import Agreed, work_done
from daemon.editor.pygls_protocol import INITIALIZE_LEAST, PlainProtocol, shared_converter
from daemon.server.connection import Client, Connection, ConnectionHandler, outcome, response_of
from daemon.server.dispatch import Context, dispatch, guarded
from daemon.server.session import Call
from daemon.wire import messages
from daemon.wire.decoding import decode, exact
from daemon.wire.framing import EditorFrames, FramingError, editor_frame
from nanochat.system.text import on_one_line, shortened
from protocol.errors import RpcError
from protocol.methods import HELLO, METHODS

if TYPE_CHECKING:
    from daemon.server.state import ServerState

NAME_LIMIT = 100  # characters of an editor's name, and of its version
SAID_LIMIT = 500  # characters of an error that the editor shows
IN_FLIGHT_LIMIT = 256  # requests of one client; beyond it the client is not read
FEATURES: tuple[Callable[[EditorServer], None], ...] = (documents.register,)  # each adds to a server

OwnCommand = Callable[[Call, dict[str, Any]], Awaitable[object]]

log = logging.getLogger("nanoscope.connection")


def load() -> ConnectionHandler:
    """What serves an editor, with all that it needs: the first `initialize` alone would take 40 ms."""
    message = {"jsonrpc": "2.0", "id": 0, "method": lsp.INITIALIZE, "params": INITIALIZE_LEAST}
    shared_converter().structure(message, lsp.InitializeRequest)
    shared_converter().unstructure(lsp.InitializeResult(lsp.ServerCapabilities()))
    return serve_editor


async def serve_editor(state: ServerState, client: Client) -> None:
    """Serve one editor until it says `exit` or hangs up."""
    logging.getLogger("pygls").setLevel(logging.WARNING)  # below it, whole messages are logged
    connection = Connection(state, client, "editor", editor_frame, IN_FLIGHT_LIMIT)
    protocol = EditorServer(connection).protocol
    async with connection.opened():
        try:
            async for frame in connection.messages(EditorFrames()):
                protocol.take(frame)
                for ready in protocol.before_next:
                    await ready()
                if not await connection.has_room():
                    break
        finally:
            protocol.end()


class EditorServer(LanguageServer):
    """The language server of one connection."""

    protocol: EditorProtocol

    def __init__(self, connection: Connection):
        self.connection, self.state, self.outbox = connection, connection.state, connection.outbox
        self.own_commands: dict[str, OwnCommand] = {}  # those that stand for no method
        self.at_end: list[Callable[[], None]] = []  # called when the editor is gone
        self.at_loss: list[Callable[[AboutDocument, str], None]] = []  # when a text, or a change of it, is not taken
        self.before_next: list[Callable[[], Awaitable[None]]] = []  # waited for before the next message is read
        super().__init__(
            "nanoscope", self.state.version, protocol_cls=EditorProtocol, converter_factory=shared_converter
        )
        for method in METHODS:
            self.command(COMMAND + method)(_announced)
        for register in FEATURES:
            register(self)

    def own_command(self, name: str, execute: OwnCommand, *, announced: bool) -> None:
        """Add a command that stands for no method; it gets the call, and the params as they came."""
        self.own_commands[name] = execute
        if announced:
            self.command(name)(_announced)

    def report_server_error(self, error: Exception, source: object) -> None:
        """To the log alone: where it happened, not what was said."""
        if source is FeatureNotificationError and isinstance(error, JsonRpcException):  # pygls has logged the others
            log.error("A notification failed:\n%s", "".join((error.data or {}).get("traceback", ())))


def _announced() -> None:
    """Stands for each command in the capabilities; EditorProtocol executes them."""


class EditorProtocol(PlainProtocol):
    """One connection's state: which requests run, what the editor has said of itself."""

    _server: EditorServer

    def __init__(self, server: EditorServer, converter: cattrs.Converter):
        super().__init__(server, converter, server.outbox)
        self._state, self.before_next = server.state, server.before_next
        self.session = server.connection.session
        self._initialized = False
        self._tokens: dict[object, Call] = {}  # by work-done token
        self._introduction: asyncio.Task[None] | None = None

    # What comes in

    def take(self, frame: bytes | FramingError) -> None:
        """Begin what a message asks for."""
        value: object = None
        try:
            if isinstance(frame, FramingError):
                raise frame
            value, is_exact = decode(frame)
            if isinstance(value, dict) and "method" not in value and ("result" in value or "error" in value):
                self.take_response(value if is_exact else exact(value))
                return
            request = messages.read_request(value)
            if not is_exact:
                request = messages.read_request(as_taken(value))
            if self._admits(request):
                self._take_request(request)
        except FramingError as error:
            self.respond(messages.failure(error.id, error))
            if error.id is None and not error.fatal and (about := about_document(error.head, error.tail)):
                self._lost(about, error)
        except RpcError as error:
            if error.name == "INVALID_REQUEST" or member(value, "id") is not None:
                self.respond(messages.failure(messages.id_of(value), error))
            if member(value, "method") in TEXTS:
                self._lost(about_params(member(value, "params")), error)

    def _lost(self, about: AboutDocument, error: RpcError) -> None:
        """Something about a document was not taken: what is known of its text may not be true any more."""
        for lost in self._server.at_loss:
            lost(about, shortened(error.message, SAID_LIMIT))

    def _take_request(self, request: messages.Request) -> None:
        message = {"jsonrpc": "2.0", "method": request.method, "params": request.params}
        if request.wants_answer:
            self.handle_message(self.structure_message(message | {"id": request.id}))
        else:
            try:
                self.handle_message(self.structure_message(message))
            except RpcError as error:  # params that do not fit: nobody waits to be told
                if request.method in TEXTS:
                    self._lost(about_params(request.params), error)

    def _admits(self, request: messages.Request) -> bool:
        """Whether the moment is right for it; notifications at a wrong one are ignored, requests refused."""
        if not request.wants_answer:
            return request.method == lsp.EXIT or (self._initialized and not self.ending)
        if self.ending:
            raise RpcError("INVALID_REQUEST", "After `shutdown` an editor may only send `exit`: connect again.")
        if self._initialized == (request.method == lsp.INITIALIZE):
            if self._initialized:
                raise RpcError("INVALID_REQUEST", "`initialize` is sent once in a session.")
            raise RpcError("SERVER_NOT_INITIALIZED", "Send `initialize` first.")
        self.check_id(request.id, self.session.calls)
        return True

    # Requests and notifications

    def begin_own(self, identifier: int | str | None, method: str, params: object) -> None:
        """Run a method of the table, or what is in none."""
        call = Call(identifier, method)
        self.session.begin(call)
        key: Any = call if identifier is None else identifier
        call.task = self.run(key, self._serve, functools.partial(self._served, call), (call, params))

    def cancel_own(self, identifier: Any) -> bool:
        """Cancel a request of the table; False where there is none of that id."""
        return self.session.cancel(identifier)

    async def _serve(self, call: Call, params: object) -> None:
        response = await outcome(call, self._answer(call, params))
        if call.request_id is not None:
            await self.outbox.room()
            self.respond(response)
        self.session.end(call)

    def _served(self, call: Call, future: asyncio.Future[None]) -> None:
        """It was answered; or it was cancelled, or broke, before it came to that."""
        fault = None if future.cancelled() else future.exception()
        if call in self.session.calls.values() and call.request_id is not None:
            self.respond(response_of(call, fault))
        self.session.end(call)

    async def _answer(self, call: Call, params: object) -> object:
        await self.introduced()
        if call.method in self.fm.features:
            context = Context(self._state, self.session, call.request_id, call.cancel)
            return await guarded(context, call.method, self.feature(call.method, params))
        name = member(params, "command") if call.method == lsp.WORKSPACE_EXECUTE_COMMAND else None
        if isinstance(name, str) and (execute := self._server.own_commands.get(name)):
            call.method = name
            return await execute(call, cast("dict[str, Any]", params))
        call.method, params, token = unwrap(call.method, params)
        with self.context(call, token, call.method.replace("_", " ")) as context:
            return await dispatch(context, call.method, params)

    async def introduced(self) -> None:
        """Wait until the session's folder is known."""
        if self._introduction is not None and not self._introduction.done():
            await asyncio.shield(self._introduction)

    @contextlib.contextmanager
    def context(self, call: Call, token: Token | None, title: str, agreed: Agreed = None) -> Iterator[Context]:
        """What a handler knows of a call; meanwhile the token, once agreed, shows its progress, and cancels it."""
        if token is not None:
            self._tokens[token] = call
        try:
            with work_done(self.send, token, title, agreed) as report:
                yield Context(self._state, self.session, call.request_id, call.cancel, report)
        finally:
            if self._tokens.get(token) is call:
                del self._tokens[token]

    # What LSP has of its own

    @lsp_method(lsp.INITIALIZE)
    def lsp_initialize(self, params: lsp.InitializeParams) -> Iterator[Any]:
        """Answer at once; who the editor is and its traces folder are seen to meanwhile, before its first request."""
        self._initialized = True
        info = params.client_info
        names = {"client_name": info.name, "client_version": info.version or ""} if info else {}
        hello: dict[str, Any] = {key: on_one_line(text[:NAME_LIMIT])[:NAME_LIMIT] for key, text in names.items()}
        hello |= {name: member(params.initialization_options, name) for name in ("traces_dir", "model", "base_dir")}
        self._introduction = asyncio.ensure_future(self._introduce(hello))
        return (yield from super().lsp_initialize(params))

    async def _introduce(self, hello: dict[str, Any]) -> None:
        try:
            await dispatch(Context(self._state, self.session), HELLO.name, hello | {"notifications": False})
        except RpcError as error:
            message = f"The editor's options are not used, but the daemon's own traces folder and model: {error}"
            self._server.window_show_message(lsp.ShowMessageParams(lsp.MessageType.Error, message))

    @lsp_method(lsp.INITIALIZED)
    def lsp_initialized(self, *params: Any) -> Iterator[Any]:
        """From now on notifications are pushed."""
        self.session.notified = self.session.used = True
        return (yield from super().lsp_initialized(*params))

    @lsp_method(lsp.SHUTDOWN)
    def lsp_shutdown(self, *params: Any) -> None:
        """End this session's work; the daemon goes on."""
        self.ending = True
        self.session.notified = False
        self._cancel_all()

    @lsp_method(lsp.EXIT)
    def lsp_exit(self, *params: Any) -> None:
        """End this connection; the process goes on."""
        self.outbox.close()

    @lsp_method(lsp.WINDOW_WORK_DONE_PROGRESS_CANCEL)
    def lsp_work_done_progress_cancel(self, params: object) -> None:
        """Cancel the request that has this token."""
        token = member(params, "token")
        call = self._tokens.get(token) if messages.is_id(token) else None
        if call is not None:
            call.stop()

    # The end

    def _cancel_all(self) -> None:
        self.session.cancel_all()
        self.cancel_features()

    def end(self) -> None:
        """The editor is gone: nothing of its work goes on."""
        self.ending = True
        self._cancel_all()
        for end in self._server.at_end:
            end()
        if self._introduction is not None:
            self._introduction.cancel()  # a folder that is still being opened is given back then
