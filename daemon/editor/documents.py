"""Prompt documents of one editor: which are open, what is in them, and word of every change that shows in them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from lsprotocol import types as lsp
from pygls.capabilities import get_capability

from daemon.editor.captures import Capture, Captures
from daemon.editor.commands import EXECUTES
from daemon.editor.debounce import Debouncer
from daemon.editor.features import FEATURES
from daemon.editor.hover import TokenHovers
from daemon.editor.lsp_values import COMMANDS, Snapshot, diagnostics
from daemon.editor.open_document import UNKNOWN, OpenDocument
from daemon.editor.params import URI_LIMIT, AboutDocument, member
from daemon.editor.prompt_length import too_long
from daemon.editor.prompt_parser import Prompt, language_of
from daemon.editor.questions import Questions
from daemon.server.dispatch import Context, in_thread
from daemon.server.named_models import held_for
from nanochat.errors import StorageError
from nanochat.system.text import shortened
from protocol.methods import MODEL_CHANGED, TRACES_CHANGED, Notification

if TYPE_CHECKING:
    from daemon.editor.connection import EditorServer

DIAGNOSE_SECONDS = 0.25  # from a change to what is said of it
REFRESH_SECONDS = 0.2  # between two wishes that the editor ask again
NAMED_LIMIT = 500  # characters of the names of documents in one message
WAITING_LIMIT = 32 << 20  # characters of changes not put in yet, beyond which the editor is not read
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
    server.protocol.plain.add(lsp.TEXT_DOCUMENT_DID_CHANGE)
    for method, (answer, options) in FEATURES.items():
        server.feature(method, options)(partial(answer, documents))
    server.feature(lsp.INITIALIZE)(partial(documents.announce))
    server.protocol.session.listeners.append(documents.notified)
    server.at_end.append(documents.close)
    server.at_loss.append(documents.lost)
    server.before_next.append(documents.room)


class Documents:
    """The open documents. All of it belongs to the event loop's thread, but for `notified`."""

    def __init__(self, server: EditorServer):
        self.server, self.protocol = server, server.protocol
        self.state, self.session = server.state, server.protocol.session
        self.captures, self.hovers = Captures(), TokenHovers()
        self.refresh = Debouncer(self._refresh, REFRESH_SECONDS)
        self.questions = Questions(self.protocol.send_request_async)
        self.background: set[asyncio.Task[Any]] = set()
        self._open: dict[str, OpenDocument] = {}
        self._diagnose: dict[str, Debouncer] = {}
        self._reading = asyncio.Lock()  # one document at a time, so that one editor leaves threads to the others
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
        self._begin(item.uri, item.language_id, item.text, item.version)

    def _begin(self, uri: str, language: str, text: str | None, version: int | None) -> None:
        kind = language_of(language, uri)
        if kind is not None:
            if uri in self._diagnose:  # opened again without a close between
                self._diagnose[uri].close()
            self._open[uri] = OpenDocument(uri, kind, text, version, self.protocol.arrivals)
            self._diagnose[uri] = Debouncer(partial(self._publish_diagnostics, uri), DIAGNOSE_SECONDS)
            self._diagnose[uri].trigger()

    def _changed(self, params: object) -> None:
        """Params stay plain: there may be very many changes, and the document is out of step if one is dropped."""
        identifier = member(params, "textDocument")
        uri, version = member(identifier, "uri"), member(identifier, "version")
        document = self._open.get(uri) if isinstance(uri, str) else None
        if document is not None:
            version = version if isinstance(version, int) else None
            document.take(member(params, "contentChanges"), version, self.protocol.arrivals)
            self._diagnose[document.uri].trigger()

    def _closed(self, params: lsp.DidCloseTextDocumentParams) -> None:
        uri = params.text_document.uri
        if self._open.pop(uri, None) is not None:
            self._diagnose.pop(uri).close()
            self._publish({"uri": uri, "diagnostics": []})

    def lost(self, about: AboutDocument, why: str) -> None:
        """A text or a change was not taken: its document, or where that is not known every one, is out of step."""
        self.protocol.arrivals += 1  # what it is now is none of its states before
        why = f"what the editor sent was not taken: {why.removesuffix('.')}"
        is_new = about.uri not in self._open and len(about.uri or "") <= URI_LIMIT
        if is_new and about.uri is not None and about.language is not None:  # it was to be opened
            self._begin(about.uri, about.language, None, None)
        lost = [document for document in self._open.values() if about.uri in (None, document.uri)]
        for document in lost:
            document.lose(why, self.protocol.arrivals)
            self._diagnose[document.uri].trigger()
        self._notify_unknown(lost, UNKNOWN.format(why))

    def _notify_unknown(self, documents: Sequence[OpenDocument], message: str) -> None:
        """Tell the user, once until they are known again, of documents whose text is not known."""
        untold = [document for document in documents if not document.is_told_unknown]
        if untold:
            named = shortened(", ".join(document.uri for document in untold), NAMED_LIMIT)
            for document in untold:
                document.is_told_unknown = True
            params = lsp.ShowMessageParams(lsp.MessageType.Warning, f"{named}: {message}")
            self.server.window_show_message(params)

    def notified(self, notification: Notification) -> None:
        """The session was told of a change."""
        if notification in (TRACES_CHANGED, MODEL_CHANGED):
            self._loop.call_soon_threadsafe(self._something_changed, notification is MODEL_CHANGED)

    def _something_changed(self, model: bool) -> None:
        if self._open:
            self.refresh.trigger()
        if model:
            for soon in self._diagnose.values():
                soon.trigger()

    def close(self) -> None:
        """The editor is gone."""
        for soon in (self.refresh, *self._diagnose.values()):
            soon.close()
        for task in self.background:
            task.cancel()
        self._open.clear()
        self._diagnose.clear()

    async def room(self) -> None:
        """Wait while very much is yet to be put into documents."""
        while behind := [one.uri for one in self._open.values() if one.waiting_size > WAITING_LIMIT]:
            await self.snapshot(behind[0])

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
        """A document as it is now, or later; None where it is not open, or holds no prompts."""
        await self.protocol.introduced()
        document = self._open.get(uri)
        if document is None:
            return None
        if document.reading is None or document.reading[0] != document.revision:
            document.reading = document.revision, asyncio.ensure_future(self._read(document))
        return await asyncio.shield(document.reading[1])

    async def _read(self, document: OpenDocument) -> Snapshot:
        async with self._reading:
            if document.snapshot is None or document.snapshot.revision != document.revision:
                document.snapshot = await self.in_readers(document.read, *document.untaken(), self.encoding)
            if document.snapshot.revision == document.revision:
                if not document.snapshot.unknown:
                    document.is_told_unknown = False
                elif self.is_current(document.snapshot):
                    self._notify_unknown([document], document.snapshot.unknown)
            return document.snapshot

    def is_current(self, snapshot: Snapshot) -> bool:
        """Whether a document has not been changed, or closed, since."""
        document = self._open.get(snapshot.uri)
        return document is not None and document.revision == snapshot.revision

    async def scanned(self) -> None:
        """Wait until it is known what is in the traces folder."""
        first_scan = self.state.folder_of(self.session).first_scan
        if not first_scan.done():
            await asyncio.shield(asyncio.wrap_future(first_scan))

    def captures_of(self, prompts: Sequence[Prompt]) -> list[Capture | None]:
        """Each prompt's capture; for the reader threads, after `scanned`."""
        try:
            return self.captures.of(self.state.folder_of(self.session), prompts)
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
        return Context(self.state, self.session)

    # What the editor is told

    async def _publish_diagnostics(self, uri: str) -> None:
        snapshot = await self.snapshot(uri)
        if snapshot is None:
            return
        found = await self.in_readers(self._diagnostics, snapshot)
        if self.is_current(snapshot):
            version = {} if snapshot.version is None else {"version": snapshot.version}
            self._publish({"uri": uri, "diagnostics": found} | version)

    def _diagnostics(self, snapshot: Snapshot) -> msgspec.Raw:
        held = held_for(self.state, self.session)
        positions = held and held.info.context
        known = held and positions and too_long(snapshot.parsed.prompts, held.tokenizer, positions)
        return msgspec.Raw(msgspec.json.encode(diagnostics(snapshot, known or [])))

    def _publish(self, params: dict[str, Any]) -> None:
        self.protocol.send({"jsonrpc": "2.0", "method": lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS, "params": params})

    async def _refresh(self) -> None:
        if self._open:
            methods = [method for capability, method in REFRESHES.items() if self.supports(capability)]
            await asyncio.gather(*(self.questions.ask(method, None, once=True) for method in methods))

    def run(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Begin some work that nobody waits for; it ends with the connection at the latest."""
        task = asyncio.ensure_future(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)
        return task
