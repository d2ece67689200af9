"""An editor for tests of prompt documents: pygls's own client over `nanoscope stdio`, which notes what it is told."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

from tests.daemon.running import DaemonProcess

SECONDS = 30.0  # no test waits longer for anything
ALL = lsp.Range(lsp.Position(0, 0), lsp.Position(1 << 20, 0))
ABLE = lsp.ClientCapabilities(
    workspace=lsp.WorkspaceClientCapabilities(
        code_lens=lsp.CodeLensWorkspaceClientCapabilities(refresh_support=True),
        inlay_hint=lsp.InlayHintWorkspaceClientCapabilities(refresh_support=True),
    ),
    window=lsp.WindowClientCapabilities(
        work_done_progress=True, show_document=lsp.ShowDocumentClientCapabilities(support=True)
    ),
    text_document=lsp.TextDocumentClientCapabilities(
        hover=lsp.HoverClientCapabilities(content_format=[lsp.MarkupKind.Markdown]),
        document_symbol=lsp.DocumentSymbolClientCapabilities(hierarchical_document_symbol_support=True),
    ),
)


class LspClient(LanguageClient):
    """`told` holds what the server said, in order: the method and its params."""

    def __init__(self) -> None:
        super().__init__("editor", "1")
        self.told: list[tuple[str, Any]] = []
        self.news = asyncio.Event()
        self.versions: dict[str, int] = {}
        self.silent: set[str] = set()  # methods that it does not answer before it is late
        self.late = asyncio.Event()
        self.capabilities = lsp.ServerCapabilities()
        for method in ("traces_changed", "model_changed", "status_changed", "$/progress", "window/showMessage"):
            self._note(method)
        self._note("textDocument/publishDiagnostics")
        for method in ("workspace/codeLens/refresh", "workspace/inlayHint/refresh", "window/workDoneProgress/create"):
            self._note(method)
        self.shows_documents = True
        self._note("window/showDocument", lambda: lsp.ShowDocumentResult(success=self.shows_documents))

    def _note(self, method: str, answer: Callable[[], Any] = lambda: None) -> None:
        @self.feature(method)
        async def _(params: Any) -> Any:
            self.told.append((method, params))
            self.news.set()
            if method in self.silent:
                await self.late.wait()
            return answer()

    def of(self, method: str) -> list[Any]:
        """The params of what was told so far."""
        return [params for name, params in self.told if name == method]

    async def until(self, is_so: Callable[[], Any]) -> Any:
        """Wait until something is so, looking whenever there is news; what it gave."""
        async with asyncio.timeout(SECONDS):
            while not (value := is_so()):
                self.news.clear()
                await self.news.wait()
            return value

    def open(self, uri: str, text: str, language: str = "prompt") -> None:
        """Open a document."""
        self.versions[uri] = 1
        self.text_document_did_open(lsp.DidOpenTextDocumentParams(lsp.TextDocumentItem(uri, language, 1, text)))

    def change(self, uri: str, start: tuple[int, int], end: tuple[int, int], text: str) -> None:
        """Edit a part of it."""
        self.versions[uri] += 1
        document = lsp.VersionedTextDocumentIdentifier(self.versions[uri], uri)
        span = lsp.Range(lsp.Position(*start), lsp.Position(*end))
        changes = [lsp.TextDocumentContentChangePartial(range=span, text=text)]
        self.text_document_did_change(lsp.DidChangeTextDocumentParams(document, changes))

    def close(self, uri: str) -> None:
        """Close it."""
        self.text_document_did_close(lsp.DidCloseTextDocumentParams(lsp.TextDocumentIdentifier(uri)))

    async def lenses(self, uri: str) -> list[lsp.Command]:
        """The lenses' commands, resolved."""
        found = await self.text_document_code_lens_async(lsp.CodeLensParams(lsp.TextDocumentIdentifier(uri)))
        resolved = [lens if lens.command else await self.code_lens_resolve_async(lens) for lens in found or ()]
        return [lens.command for lens in resolved if lens.command]

    async def titles(self, uri: str) -> list[str]:
        """What the lenses say."""
        return [command.title for command in await self.lenses(uri)]

    async def execute(self, command: str, *arguments: Any, token: str | None = None) -> Any:
        """What a command answers."""
        params = lsp.ExecuteCommandParams(command, list(arguments), token)
        return await self.workspace_execute_command_async(params)

    async def hover(self, uri: str, line: int, character: int) -> Any:
        """The hover at a position."""
        place = lsp.HoverParams(lsp.TextDocumentIdentifier(uri), lsp.Position(line, character))
        return await self.text_document_hover_async(place)

    async def hints(self, uri: str, span: lsp.Range = ALL) -> Any:
        """The inlay hints of a range."""
        return await self.text_document_inlay_hint_async(lsp.InlayHintParams(lsp.TextDocumentIdentifier(uri), span))

    async def diagnostics(self, uri: str, version: int | None = None) -> Any:
        """Those of a version of a document, once they have come."""
        await self.until(lambda: [one for one in self._diagnostics(uri) if one.version == version])
        return [one.diagnostics for one in self._diagnostics(uri) if one.version == version][-1]

    def _diagnostics(self, uri: str) -> list[Any]:
        return [one for one in self.of("textDocument/publishDiagnostics") if one.uri == uri]


@contextlib.asynccontextmanager
async def lsp_client(
    daemon: DaemonProcess, traces: Path, capabilities: lsp.ClientCapabilities = ABLE, **options: Any
) -> AsyncIterator[LspClient]:
    """A client with a traces folder of its own; it has left when the block has."""
    client = LspClient()
    await client.start_io(sys.executable, "-m", "daemon", "stdio", env=os.environ | daemon.environment)
    options |= {"traces_dir": str(traces)}
    params = lsp.InitializeParams(capabilities=capabilities, process_id=os.getpid(), initialization_options=options)
    client.capabilities = (await client.initialize_async(params)).capabilities
    client.initialized(lsp.InitializedParams())
    try:
        yield client
    finally:
        await client.shutdown_async(None)
        client.exit(None)
        await client.stop()
