"""The features of prompt documents: each a row of FEATURES, answered from a snapshot of the document."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any

import msgspec
from lsprotocol import types as lsp

from daemon.editor.hover import fenced
from daemon.editor.lsp_values import (
    ACTION_KIND,
    Snapshot,
    actions,
    facts,
    hints,
    lenses,
    mean_surprisal,
    show_command,
    symbols,
)
from daemon.editor.pygls_protocol import ARRIVAL
from daemon.editor.text import place_in
from daemon.handlers.traces import token_text, tokens_of
from nanochat.errors import NanoscopeError
from protocol.errors import RpcError

if TYPE_CHECKING:
    from daemon.editor.documents import Documents

Data = tuple[str, int, int, float | None]  # of a lens yet to be resolved: trace, its size, tokens, seconds
MARKDOWN = lsp.MarkupKind.Markdown.value
TRIES = 3  # at an answer about a text that goes on changing
MODIFIED = "The document has changed meanwhile: ask again."

log = logging.getLogger("nanoscope.connection")


async def _of_any_text(documents: Documents, uri: str, answer: Callable[[Snapshot], Awaitable[Any]]) -> Any:
    """An answer that is worked out anew where the text has changed meanwhile."""
    for _ in range(TRIES):
        document = await documents.snapshot(uri)
        if document is None:
            return None
        found = await answer(document)
        if documents.is_current(document):
            return found
    raise RpcError("CONTENT_MODIFIED", MODIFIED)


async def _of_this_text(documents: Documents, uri: str, answer: Callable[[Snapshot], Awaitable[Any]]) -> Any:
    """An answer about a place, which means another one once the text has changed."""
    document = await documents.snapshot(uri)
    if document is None:
        return None
    found = await answer(document) if document.revision <= ARRIVAL.get() else None
    if document.revision > ARRIVAL.get() or not documents.is_current(document):
        raise RpcError("CONTENT_MODIFIED", MODIFIED)
    return found


async def code_lens(documents: Documents, params: lsp.CodeLensParams) -> Any:
    """Capture, Show trace and, yet to be resolved, what the capture is like."""
    await documents.scanned()

    def answer(document: Snapshot) -> msgspec.Raw:
        return _encoded(lenses(document, documents.captures_of(document.parsed.prompts)))

    return await _of_any_text(documents, params.text_document.uri, partial(documents.in_readers, answer))


async def resolve_code_lens(documents: Documents, params: lsp.CodeLens) -> Any:
    """Tokens, mean surprisal and time."""
    try:
        trace_id, size, tokens, seconds = msgspec.convert(params.data, Data)
    except msgspec.ValidationError:
        return params
    surprisal = await documents.in_readers_until_cancelled(_surprisal, documents, trace_id, size)
    command = show_command(facts(tokens, surprisal, seconds), trace_id)
    return lsp.CodeLens(params.range, lsp.Command(command["title"], command["command"], None, command["arguments"]))


def _surprisal(documents: Documents, trace_id: str, size: int, cancel: Event) -> float | None:
    storage, context = documents.state.folder_of(documents.session).storage, documents.context()

    def read() -> float | None:
        return mean_surprisal(tokens_of(storage, trace_id, token_text(context), cancel).tokens)

    try:
        return documents.captures.surprisal((storage.directory, trace_id, size), read)
    except NanoscopeError:  # deleted or damaged meanwhile: the lens goes with the next listing
        return None
    except Exception:
        log.exception("The surprisals of %s could not be read", trace_id)
        return None


async def inlay_hint(documents: Documents, params: lsp.InlayHintParams) -> Any:
    """The responses behind the prompts that are seen."""
    await documents.scanned()
    first, last = params.range.start.line, params.range.end.line

    def answer(document: Snapshot) -> msgspec.Raw:
        prompts = [prompt for prompt in document.parsed.prompts if first <= prompt.last_line <= last]
        return _encoded(hints(document, prompts, documents.captures_of(prompts)))

    return await _of_this_text(documents, params.text_document.uri, partial(documents.in_readers, answer))


async def hover(documents: Documents, params: lsp.HoverParams) -> Any:
    """What the model made of the token under the mouse."""
    await documents.scanned()
    formats = documents.supports("text_document.hover.content_format") or ()
    kind = next((getattr(name, "value", name) for name in formats), "plaintext")

    async def answer(document: Snapshot) -> Any:
        return await documents.in_readers_until_cancelled(_hover, documents, document, params.position, kind)

    return await _of_this_text(documents, params.text_document.uri, answer)


def _hover(
    documents: Documents, document: Snapshot, position: lsp.Position, kind: str, cancel: Event
) -> dict[str, Any] | None:
    place = place_in(document.lines, position, document.encoding)
    prompt = document.parsed.at(place[0])
    offset = None if prompt is None else prompt.offset_of(place)
    if prompt is None or offset is None:
        return None
    (capture,) = documents.captures_of([prompt])
    if capture is None:
        return None
    folder, text = documents.state.folder_of(documents.session), token_text(documents.context())
    try:
        aligned = documents.hovers.aligned(folder, capture, prompt.text, text, cancel)
        hover_text = documents.hovers.text(folder, capture, aligned, offset, cancel)
    except NanoscopeError as error:
        return {"contents": {"kind": "plaintext", "value": str(error)}}
    except Exception:
        log.exception("%s could not be hovered over", capture.entry.path)
        value = f"Nothing can be said of {capture.entry.trace_id}; `nanoscope logs` has the reason."
        return {"contents": {"kind": "plaintext", "value": value}}
    if hover_text is None:
        return None
    spans = [aligned.spans[position] for position in aligned.at(offset)]
    start, end = min(start for start, _ in spans), max(end for _, end in spans)
    contents = {"kind": kind, "value": fenced(hover_text) if kind == MARKDOWN else hover_text}
    return {"contents": contents, "range": document.range(prompt.place_of(start), prompt.place_of(end))}


async def document_symbol(documents: Documents, params: lsp.DocumentSymbolParams) -> Any:
    """The prompts."""
    hierarchical = bool(documents.supports("text_document.document_symbol.hierarchical_document_symbol_support"))

    def answer(document: Snapshot) -> msgspec.Raw:
        return _encoded(symbols(document, hierarchical))

    return await _of_any_text(documents, params.text_document.uri, partial(documents.in_readers, answer))


async def code_action(documents: Documents, params: lsp.CodeActionParams) -> Any:
    """Capture and show, for editors that have no lenses."""
    wanted = params.context.only
    if wanted and not any(_is_kind(ACTION_KIND, kind) for kind in wanted):
        return None
    await documents.scanned()

    def answer(document: Snapshot) -> msgspec.Raw | None:
        prompt = document.parsed.at(min(params.range.start.line, len(document.lines) - 1))
        if prompt is None:
            return None
        (capture,) = documents.captures_of([prompt])
        return _encoded(actions(document, prompt, capture))

    return await _of_this_text(documents, params.text_document.uri, partial(documents.in_readers, answer))


def _is_kind(kind: str, wanted: object) -> bool:
    """Whether a kind is the one wanted, or below it."""
    name = str(getattr(wanted, "value", wanted))
    return not name or kind == name or kind.startswith(name + ".")


def _encoded(value: object) -> msgspec.Raw:
    """A value as JSON, made here so that the event loop need not."""
    return msgspec.Raw(msgspec.json.encode(value))


Feature = Callable[["Documents", Any], Awaitable[Any]]
FEATURES: dict[str, tuple[Feature, Any]] = {
    lsp.TEXT_DOCUMENT_CODE_LENS: (code_lens, lsp.CodeLensOptions(resolve_provider=True)),
    lsp.CODE_LENS_RESOLVE: (resolve_code_lens, None),
    lsp.TEXT_DOCUMENT_INLAY_HINT: (inlay_hint, lsp.InlayHintOptions(resolve_provider=False)),
    lsp.TEXT_DOCUMENT_HOVER: (hover, None),
    lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL: (document_symbol, None),
    lsp.TEXT_DOCUMENT_CODE_ACTION: (code_action, lsp.CodeActionOptions(code_action_kinds=[ACTION_KIND])),
}
