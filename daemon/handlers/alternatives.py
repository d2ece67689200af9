"""Everything that a trace keeps of what was likely at one position."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from daemon.handlers.traces import token_text
from daemon.server.dispatch import Context, handles, in_thread
from nanochat.analysis.alternatives import alternatives
from protocol.errors import RpcError
from protocol.methods import GET_ALTERNATIVES
from protocol.types import Alternative, GetAlternativesParams, GetAlternativesResult

if TYPE_CHECKING:
    from daemon.handlers.traces import TokenText
    from nanochat.trace_storage import TraceStorage


@handles(GET_ALTERNATIVES)
async def get_alternatives(context: Context, params: GetAlternativesParams) -> GetAlternativesResult:
    """The candidates of one position."""
    storage = context.state.folder_of(context.session).storage
    return await in_thread(context, alternatives_of, storage, params, token_text(context))


def alternatives_of(storage: TraceStorage, params: GetAlternativesParams, text: TokenText) -> GetAlternativesResult:
    """As `alternatives`, in the protocol's terms. Raises RpcError and the errors of `TraceStorage.open_trace`."""
    with storage.open_trace(params.trace_id) as trace:
        tokens = trace.fields.tokens
        count = len(tokens.prompt) + len(tokens.generated)
        if params.position >= count:
            raise RpcError(
                "TRACE_NOT_FOUND", f"{params.trace_id} has the positions 0 to {count - 1}, not {params.position}."
            )
        found = alternatives(trace, params.position, params.count, text)
    return GetAlternativesResult(
        position=params.position,
        captured=found.captured,
        alternatives=msgspec.convert(found.rows, list[Alternative]),
    )
