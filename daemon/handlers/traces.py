"""Answers about traces: listings, summaries, analyses, tokens; and deleting one."""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate, takewhile
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from daemon.folders.trace_folders import TraceFolder
from daemon.server.dispatch import Context, handles, in_thread, in_thread_to_the_end
from daemon.server.named_models import held_for
from nanochat.analysis import TOKEN_METRICS, described_metrics
from nanochat.analysis.characters import Piece, pieces
from nanochat.analysis.stored import trace_analysis, trace_logits
from nanochat.errors import CancelledError
from nanochat.trace_storage import TraceEntry, TraceStorage, of_category
from nanochat.traces.document import generated_statistics, prompt_statistics
from nanochat.traces.trace import Trace
from protocol.errors import RpcError
from protocol.methods import ANALYZE_TRACE, DELETE_TRACE, GET_DOCUMENT, GET_SUMMARY, GET_TOKENS, LIST_TRACES
from protocol.types import (
    Alternative,
    Analysis,
    AnalyzeTraceResult,
    DeleteTraceResult,
    GetTokensResult,
    ListTracesParams,
    ListTracesResult,
    Metric,
    TokenPiece,
    TokenRow,
    TraceDocument,
    TraceParams,
    TraceRow,
    TraceSummary,
)

if TYPE_CHECKING:
    from nanochat.tokenizer import RustBPETokenizer

ROW_FIELDS = TraceRow.__struct_fields__
PAGE_CHARACTERS = 3 << 20  # of one page, at most 6 bytes each, so that it fits into a message and is soon encoded
ROW_CHARACTERS = 650  # of a row without its texts
LOOK_EVERY = 256  # entries searched between two looks at the cancel event

TokenText = Callable[[int], str]
Result = TypeVar("Result")


@handles(LIST_TRACES)
async def list_traces(context: Context, params: ListTracesParams) -> ListTracesResult:
    """A page of the listing, from memory."""
    folder = context.state.folder_of(context.session)
    await asyncio.shield(asyncio.wrap_future(folder.first_scan))
    return await in_thread(context, page_of, folder, params, context.cancel)


def page_of(folder: TraceFolder, params: ListTracesParams, cancel: Event) -> ListTracesResult:
    """The entries that follow the cursor. Raises CategoryInvalidError, StorageError; RpcError INVALID_PARAMS."""
    before = None if params.cursor is None else read_cursor(params.cursor)
    entries = folder.entries()
    if params.category is not None:
        entries = of_category(entries, params.category)
    if params.text:
        entries = _search(entries, params.text.casefold(), cancel)
    # newest first: those that follow the cursor are the ones of a lower place
    start = 0 if before is None else bisect_left(entries, True, key=lambda entry: entry.place < before)
    page = _fitting(entries[start : start + params.limit])
    more = start + len(page) < len(entries)
    return ListTracesResult(
        traces=[_row(entry) for entry in page], total=len(entries), cursor=make_cursor(page[-1]) if more else None
    )


def _search(entries: Sequence[TraceEntry], text: str, cancel: Event) -> list[TraceEntry]:
    found = []
    for number, entry in enumerate(entries):
        if number % LOOK_EVERY == 0 and cancel.is_set():
            raise CancelledError("Cancelled: the search was stopped.")
        if text in entry.prompt.casefold() or text in entry.response.casefold() or text in entry.trace_id.casefold():
            found.append(entry)
    return found


def _fitting(entries: Sequence[TraceEntry]) -> Sequence[TraceEntry]:
    """The first entries, at least one, whose texts fit into one message."""
    sizes = accumulate(ROW_CHARACTERS + len(entry.prompt) + len(entry.response) for entry in entries)
    count = sum(1 for _ in takewhile(lambda size: size <= PAGE_CHARACTERS, sizes))
    return entries[: max(1, count)]


def _row(entry: TraceEntry) -> TraceRow:
    values: dict[str, Any] = {field: getattr(entry, field) for field in ROW_FIELDS}
    return TraceRow(**{**values, "path": os.fsencode(entry.path).decode("utf-8", "replace")})


def make_cursor(entry: TraceEntry) -> str:
    """Where a page ends: the last entry's place, so that traces may come and go between pages."""
    return base64.urlsafe_b64encode(msgspec.json.encode(entry.place)).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[float, str]:
    """The place that a cursor stands for. Raises RpcError INVALID_PARAMS."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return msgspec.json.decode(text, type=tuple[float, str])
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        message = "The cursor is none of `list_traces`; leave it out to begin with the first page."
        raise RpcError("INVALID_PARAMS", message) from error


@handles(GET_SUMMARY)
async def get_summary(context: Context, params: TraceParams) -> TraceSummary:
    """A trace's metadata and what it holds."""
    storage = context.state.folder_of(context.session).storage
    return await in_thread(context, summary_of, storage, params.trace_id)


def summary_of(storage: TraceStorage, trace_id: str) -> TraceSummary:
    """A summary in the protocol's terms."""
    return msgspec.convert(storage.get_trace_summary(trace_id), TraceSummary)


@handles(ANALYZE_TRACE)
async def analyze_trace(context: Context, params: TraceParams) -> AnalyzeTraceResult:
    """A trace's analysis, as stored or computed from its tensors."""
    return await _read(context, analysis_of, params)


async def _read(
    context: Context, answer: Callable[[TraceStorage, str, TokenText, Event], Result], params: TraceParams
) -> Result:
    """What a reader thread answers about one trace of the session's folder."""
    storage = context.state.folder_of(context.session).storage
    return await in_thread(context, answer, storage, params.trace_id, token_text(context), context.cancel)


@handles(GET_DOCUMENT)
async def get_document(context: Context, params: TraceParams) -> TraceDocument:
    """All of a trace but its tensors."""
    return await _read(context, document_of, params)


def document_of(storage: TraceStorage, trace_id: str, text: TokenText, cancel: Event) -> TraceDocument:
    """Summary, tokens and analysis of one state of the file."""
    with storage.open_trace(trace_id) as trace:
        analysis = trace_analysis(trace, text, cancel)
        rows = _token_rows(trace, analysis.get("logits") or trace_logits(trace, text, cancel), text)
        summary = trace.summary()
    return TraceDocument(
        **summary,
        tokens=rows,
        analysis=cast(Analysis, analysis),
        metrics=cast(dict[str, Metric], described_metrics()),
    )


def analysis_of(storage: TraceStorage, trace_id: str, text: TokenText, cancel: Event) -> AnalyzeTraceResult:
    """As `trace_analysis`, in the protocol's terms."""
    with storage.open_trace(trace_id) as trace:
        return AnalyzeTraceResult(
            trace_id=trace_id,
            metadata=trace.fields.metadata,
            analysis=cast(Analysis, trace_analysis(trace, text, cancel)),
            metrics=cast(dict[str, Metric], described_metrics()),
        )


@handles(GET_TOKENS)
async def get_tokens(context: Context, params: TraceParams) -> GetTokensResult:
    """A trace's tokens, one row a position."""
    return await _read(context, tokens_of, params)


def tokens_of(storage: TraceStorage, trace_id: str, text: TokenText, cancel: Event) -> GetTokensResult:
    """Tokens with their texts, and what the logits said of them, from the analysis or else from the logits."""
    with storage.open_trace(trace_id) as trace:
        rows = _token_rows(trace, trace_logits(trace, text, cancel), text)
    return GetTokensResult(trace_id=trace_id, tokens=rows)


def _token_rows(trace: Trace, logits: dict[str, Any], text: TokenText) -> list[TokenRow]:
    tokens = trace.fields.tokens
    prompt = prompt_statistics(logits, len(tokens.prompt))
    generated = generated_statistics(logits, len(tokens.generated))
    surprisal = prompt.surprisal + generated.surprisal
    numbers = {key: prompt.of(key) + generated.of(key) for key in TOKEN_METRICS}
    top = msgspec.convert(prompt.top + generated.top, list[list[Alternative]], from_attributes=True)
    texts = [
        *(tokens.prompt_text or map(text, tokens.prompt)),
        *(tokens.generated_text or map(text, tokens.generated)),
    ]
    shared = pieces(texts)
    return [
        TokenRow(
            position=position,
            id=token,
            text=texts[position],
            forced=tokens.forced[position],
            generated=position >= len(tokens.prompt),
            surprisal=surprisal[position],
            top=top[position],
            numbers={key: values[position] for key, values in numbers.items()},
            piece=_piece(shared[position]),
        )
        for position, token in enumerate(tokens.prompt + tokens.generated)
    ]


def _piece(piece: Piece | None) -> TokenPiece | None:
    return None if piece is None else TokenPiece(text=piece.text, index=piece.index, count=piece.count)


def token_text(context: Context) -> TokenText:
    """The text of a token id, by the tokenizer of the session's model where that is held; else `<id>`."""

    @cache
    def tokenizer() -> RustBPETokenizer | None:  # when it is needed, by a reader thread: it may look at the disk
        held = held_for(context.state, context.session)
        return held and held.tokenizer

    def text(token: int) -> str:
        try:
            known = tokenizer()
            return known.token_text(token) if known else f"<{token}>"
        except (KeyError, OverflowError):
            return f"<{token}>"

    return text


@handles(DELETE_TRACE)
async def delete_trace(context: Context, params: TraceParams) -> DeleteTraceResult:
    """Delete a trace in all its formats."""
    storage = context.state.folder_of(context.session).storage
    await in_thread_to_the_end(context, storage.delete_trace, params.trace_id)
    return DeleteTraceResult(deleted=params.trace_id)
