"""Prompt documents of one editor: which are open, what is in them, and word of every change that shows in them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from lsprotocol import types as lsp
from pygls.capabilities import get_capability

from daemon.decoding import whole_text
from daemon.dispatch import Context, in_thread
from daemon.document_answers import COMMANDS, Snapshot, diagnostics
from daemon.document_captures import Capture, Captures
from daemon.document_commands import EXECUTES
from daemon.document_features import FEATURES
from daemon.document_hover import TokenHovers
from daemon.document_length import too_long
from daemon.document_soon import Soon
from daemon.document_text import OpenDocument
from daemon.editor_params import member
from daemon.named_models import held_for
from daemon.prompt_documents import Prompt, language_of, parse
from nanochat.errors import StorageError
from protocol.methods import MODEL_CHANGED, TRACES_CHANGED, Notification

if TYPE_CHECKING:
    from daemon.editor_door import EditorServer

DIAGNOSE_SECONDS = 0.25  # from a change to what is said of it
REFRESH_SECONDS = 0.2  # between two wishes that the editor ask again
ANSWER_SECONDS = 5.0  # for the editor's answer to a question
REFRESHES = {  # by the capability that says that the editor listens
    "workspace.code_lens.refresh_support": lsp.WORKSPACE_CODE_LENS_REFRESH,
    "workspace.inlay_hint.refresh_support": lsp.WORKSPACE_INLAY_HINT_REFRESH,
}

Result = TypeVar("Result")


def register(server: EditorServer) -> None:
    """Give an editor's server what it needs for prompt documents."""
    documents = Documents(server)
    features = server.protocol.fm
    for method, handler in documents.sync.items():  # in place of pygls's, whose lines are not LSP's
        features.add_builtin_feature(method, handler)
    for method, (answer, options) in FEATURES.items():
        server.feature(method, options)(partial(answer, documents))
    server.feature(lsp.INITIALIZE)(partial(documents.announce))
    server.protocol.session.listeners.append(documents.told)
    server.at_end.append(documents.close)
    server.at_loss.append(documents.lost)


class Documents:
    """The open documents. All of it belongs to the event loop's thread, but for `told`."""

    def __init__(self, server: EditorServer):
        self.server, self.protocol = server, server.protocol
        self.hub, self.session = server.hub, server.protocol.session
        self.captures, self.hovers = Captures(), TokenHovers()
        self.refresh = Soon(self._refresh, REFRESH_SECONDS)
        self.shown: dict[str, Snapshot] = {}  # by uri: whose lenses and actions the editor has
        self._open: dict[str, OpenDocument] = {}
        self._diagnose: dict[str, Soon] = {}
        self._unanswered: dict[str, asyncio.Future[Any]] = {}  # by method: of questions that need no second one
        self._loop = asyncio.get_running_loop()
        self.sync: dict[str, Callable[[Any], None]] = {
            lsp.TEXT_DOCUMENT_DID_OPEN: self._opened,
            lsp.TEXT_DOCUMENT_DID_CHANGE: self._changed,
            lsp.TEXT_DOCUMENT_DID_CLOSE: self._closed,
        }

    # What the editor tells

    def announce(self, params: lsp.InitializeParams) -> None:
        """Make the commands known, but for those that the editor executes itself."""
        own = member(params.initialization_options, "client_commands")
        for name in COMMANDS:
            announced = not (isinstance(own, list) and name in own)
            self.server.own_command(name, partial(EXECUTES[name], self), announced=announced)

    def _opened(self, params: lsp.DidOpenTextDocumentParams) -> None:
        item = params.text_document
        kind = language_of(item.language_id, item.uri)
        if kind is not None:
            if item.uri in self._diagnose:  # opened again without a close between
                self._diagnose[item.uri].close()
            self._open[item.uri] = OpenDocument(item.uri, kind, item.text, item.version)
            self._diagnose[item.uri] = Soon(partial(self._tell_diagnostics, item.uri), DIAGNOSE_SECONDS)
            self._diagnose[item.uri].wish()

    def _changed(self, params: lsp.DidChangeTextDocumentParams) -> None:
        document = self._open.get(params.text_document.uri)
        if document is not None:
            for change in params.content_changes:
                document.change(change, params.text_document.version, self.encoding)
            self._diagnose[document.uri].wish()

    def _closed(self, params: lsp.DidCloseTextDocumentParams) -> None:
        self._forget(params.text_document.uri)

    def _forget(self, uri: str) -> None:
        if self._open.pop(uri, None) is not None:
            self.shown.pop(uri, None)
            self._diagnose.pop(uri).close()
            self._publish({"uri": uri, "diagnostics": []})

    def lost(self, uri: str | None, why: str) -> None:
        """A change could not be taken: its document, or where that is not known every one, is followed no longer."""
        lost = [known for known in self._open if uri in (None, known)]
        for known in lost:
            self._forget(known)
        if lost:
            message = f"{', '.join(lost)[:500]}: a change could not be read, so close and open it again. {why}"
            self.server.window_show_message(lsp.ShowMessageParams(lsp.MessageType.Warning, message))

    def told(self, notification: Notification) -> None:
        """The session was told of a change."""
        if notification in (TRACES_CHANGED, MODEL_CHANGED):
            self._loop.call_soon_threadsafe(self._something_changed, notification is MODEL_CHANGED)

    def _something_changed(self, model: bool) -> None:
        if self._open:
            self.refresh.wish()
        if model:
            for soon in self._diagnose.values():
                soon.wish()

    def close(self) -> None:
        """The editor is gone."""
        for soon in (self.refresh, *self._diagnose.values()):
            soon.close()
        self._open.clear()
        self._diagnose.clear()

    # What is in the documents

    @property
    def encoding(self) -> str:
        """The unit of positions, as agreed with the editor."""
        agreed = self.protocol.server_capabilities.position_encoding
        return str(getattr(agreed, "value", agreed))

    def supports(self, capability: str) -> Any:
        """What the editor says of a capability; None where it says nothing."""
        return get_capability(self.protocol.client_capabilities, capability)

    async def snapshot(self, uri: str) -> Snapshot | None:
        """A document as it is now; None where it is not open, or holds no prompts."""
        await self.protocol.introduced()
        document = self._open.get(uri)
        if document is None:
            return None
        if document.reading is None or document.reading[0] != document.revision:
            lines, version = tuple(document.lines), document.version
            read = self.in_readers(_read, uri, version, lines, document.language, self.encoding)
            document.reading = document.revision, asyncio.ensure_future(read)
        return await asyncio.shield(document.reading[1])

    async def scanned(self) -> None:
        """Wait until it is known what is in the traces folder."""
        first_scan = self.hub.folder_of(self.session).first_scan
        if not first_scan.done():
            await asyncio.shield(asyncio.wrap_future(first_scan))

    def captures_of(self, prompts: Sequence[Prompt]) -> list[Capture | None]:
        """Each prompt's capture; for the reader threads, after `scanned`."""
        try:
            return self.captures.of(self.hub.folder_of(self.session), prompts)
        except StorageError:  # `get_status` says why the folder cannot be read
            return [None] * len(prompts)

    async def in_readers(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run something on the reader pool."""
        return await in_thread(self.context(), function, *arguments)

    async def in_readers_until_cancelled(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run something on the reader pool, which is told by an event, its last argument, when nobody waits for it."""
        cancel = Event()
        try:
            return await self.in_readers(function, *arguments, cancel)
        except asyncio.CancelledError:
            cancel.set()
            raise

    def context(self) -> Context:
        """What handlers want to know of who asks."""
        return Context(self.hub, self.session)

    # What the editor is told

    async def _tell_diagnostics(self, uri: str) -> None:
        snapshot = await self.snapshot(uri)
        if snapshot is None:
            return
        found = await self.in_readers(self._diagnostics, snapshot)
        document = self._open.get(uri)
        if document is not None and document.version == snapshot.version:
            version = {} if snapshot.version is None else {"version": snapshot.version}
            self._publish({"uri": uri, "diagnostics": found} | version)

    def _diagnostics(self, snapshot: Snapshot) -> msgspec.Raw:
        held = held_for(self.hub, self.session)
        positions = held and held.info.context
        known = held and positions and too_long(snapshot.parsed.prompts, held.tokenizer, positions)
        return msgspec.Raw(msgspec.json.encode(diagnostics(snapshot, known or [])))

    def _publish(self, params: dict[str, Any]) -> None:
        self.protocol.tell({"jsonrpc": "2.0", "method": lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS, "params": params})

    async def _refresh(self) -> None:
        if self._open:
            methods = [method for capability, method in REFRESHES.items() if self.supports(capability)]
            await asyncio.gather(*(self.ask(method, None, once=True) for method in methods))

    async def ask(self, method: str, params: Any, *, once: bool = False) -> tuple[bool, Any]:
        """Ask the editor for something: whether it agreed in time, and what it answered.

        Args:
            once: not while it owes the answer to an earlier question of the kind.
        """
        earlier = self._unanswered.get(method)
        if once and earlier is not None and not earlier.done():
            return False, None
        answer = self.protocol.send_request_async(method, params)
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._unanswered[method] = answer
        await asyncio.wait([answer], timeout=ANSWER_SECONDS)
        agreed = answer.done() and not answer.cancelled() and answer.exception() is None
        return agreed, answer.result() if agreed else None


def _read(uri: str, version: int | None, lines: Sequence[str], language: str, encoding: str) -> Snapshot:
    lines = [whole_text(line) for line in lines]  # a document may hold half a character, what is told of it may not
    return Snapshot(uri, version, lines, parse(lines, language), encoding)
