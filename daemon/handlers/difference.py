"""What differs between two traces, as numbers."""

from __future__ import annotations

from threading import Event

import msgspec

from daemon.handlers.comparison import aligned_texts, beside, texts_of
from daemon.handlers.traces import TokenText, token_text
from daemon.server.dispatch import Context, handles, in_thread
from nanochat.analysis.alignment import parted_at
from nanochat.trace_storage import TraceStorage
from nanochat.traces.trace import Trace
from nanochat.why.difference import differing_notices, head_differences, site_differences, surprisals
from protocol.methods import DIFF_TRACES
from protocol.types import (
    DiffTracesParams,
    DiffTracesResult,
    HeadDifference,
    PositionPair,
    SiteDifference,
    TokenDifference,
    TokenSide,
)


@handles(DIFF_TRACES)
async def diff_traces(context: Context, params: DiffTracesParams) -> DiffTracesResult:
    """Align two traces' tokens, and compare all that both have."""
    storage = context.state.folder_of(context.session).storage
    return await in_thread(context, difference, storage, params, token_text(context), context.cancel)


def difference(storage: TraceStorage, params: DiffTracesParams, text: TokenText, cancel: Event) -> DiffTracesResult:
    """Raises the errors of `TraceStorage.open_trace`, and CancelledError."""
    other = beside(storage, params.other_dir)
    with storage.open_trace(params.trace_id) as a, other.open_trace(params.other_id) as b:
        texts = texts_of(a, text), texts_of(b, text)
        pairs = aligned_texts(*texts)
        sides = _sides(a, texts[0], text, cancel), _sides(b, texts[1], text, cancel)
        heads, sites = head_differences(a, b, pairs, text, cancel), site_differences(a, b, pairs, cancel)
        return DiffTracesResult(
            aligned=[PositionPair(a=pair.a, b=pair.b, same=pair.same) for pair in pairs],
            parted_at=parted_at(*texts),
            tokens=[
                _token(None if pair.a is None else sides[0][pair.a], None if pair.b is None else sides[1][pair.b])
                for pair in pairs
            ],
            heads=msgspec.convert(heads, list[HeadDifference], from_attributes=True),
            sites=msgspec.convert(sites, list[SiteDifference], from_attributes=True),
            notices=differing_notices(a, b),
        )


def _sides(trace: Trace, texts: tuple[str, ...], text: TokenText, cancel: Event) -> list[TokenSide]:
    bits = surprisals(trace, text, cancel)
    return [
        TokenSide(
            position=position,
            token=token,
            text=texts[position],
            surprisal=bits[position],
            probability=_probability(bits[position]),
        )
        for position, token in enumerate(trace.fields.tokens.all)
    ]


def _probability(bits: float | None) -> float | None:
    return None if bits is None else 2.0**-bits


def _token(a: TokenSide | None, b: TokenSide | None) -> TokenDifference:
    found = TokenDifference(a=a, b=b, difference=None)
    if a is not None and b is not None and a.text == b.text and a.surprisal is not None and b.surprisal is not None:
        found.difference = b.surprisal - a.surprisal
    return found
