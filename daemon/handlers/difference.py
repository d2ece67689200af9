"""What differs between two traces, as numbers."""

from __future__ import annotations

from threading import Event

import msgspec

from daemon.handlers.answers import check_answer
from daemon.handlers.comparison import aligned_texts, beside, texts_of
from daemon.handlers.traces import TokenText, token_text
from daemon.server.dispatch import Context, handles, in_thread
from nanochat.analysis.alignment import parted_at
from nanochat.trace_storage import TraceStorage
from nanochat.traces.trace import Trace
from nanochat.why.difference import (
    compared_heads,
    compared_sites,
    differing_notices,
    head_differences,
    site_differences,
    surprisals,
)
from nanochat.why.difference_cost import difference_cost
from protocol.methods import DIFF_TRACES
from protocol.types import (
    Cost,
    DiffTracesParams,
    DiffTracesResult,
    HeadDifference,
    PositionPair,
    SiteDifference,
    TokenDifference,
    TokenSide,
)

TOKEN_BYTES, HEAD_BYTES, SITE_BYTES = 250, 600, 200  # of an answer, at most as a rule


@handles(DIFF_TRACES)
async def diff_traces(context: Context, params: DiffTracesParams) -> DiffTracesResult:
    """Align two traces' tokens, and compare all that both have."""
    storage = context.state.folder_of(context.session).storage
    return await in_thread(context, difference, storage, params, token_text(context), context.cancel)


def difference(storage: TraceStorage, params: DiffTracesParams, text: TokenText, cancel: Event) -> DiffTracesResult:
    """Raises RpcError TOO_LARGE, the errors of `TraceStorage.open_trace`, and CancelledError."""
    other = beside(storage, params.other_dir)
    with storage.open_trace(params.trace_id) as a, other.open_trace(params.other_id) as b:
        notices = differing_notices(a, b)
        if params.estimate:
            size, seconds = difference_cost(a, b)
            cost = Cost(forwards=0, bytes=size, seconds=seconds)
            return DiffTracesResult(
                aligned=[], parted_at=None, tokens=[], heads=[], sites=[], notices=notices, cost=cost
            )
        _check_size(a, b)
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
            notices=notices,
        )


def _check_size(a: Trace, b: Trace) -> None:
    tokens = len(a.fields.tokens.all) + len(b.fields.tokens.all)
    heads = sum(a.shape(names[0])[1] for *_, names in compared_heads(a, b))
    size = tokens * TOKEN_BYTES + heads * HEAD_BYTES + len(compared_sites(a, b)) * SITE_BYTES
    advice = "Diff traces of shorter texts or fewer layers, or use `compare_traces`, a layer at a time."
    check_answer(size, advice, f"{tokens:,} tokens of both and {heads:,} heads")


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
