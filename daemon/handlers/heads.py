"""What every head of the model does by habit."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from daemon.handlers.generation_progress import Progress
from daemon.handlers.model_work import on_model
from daemon.server.dispatch import Context, handles
from protocol.methods import SCAN_HEADS
from protocol.types import HeadHabit, HeadRole, ScanHeadsParams, ScanHeadsResult

if TYPE_CHECKING:
    from daemon.server.loaded_model import LoadedModel


@handles(SCAN_HEADS)
async def scan_heads(context: Context, params: ScanHeadsParams) -> ScanHeadsResult:
    """Scan the session's model, or find the scan that is kept."""
    return await on_model(context, Progress(context), partial(_scan, context, params))


def _scan(context: Context, params: ScanHeadsParams, held: LoadedModel, cancel: threading.Event) -> ScanHeadsResult:
    """On the model thread. Raises as `nanochat.why.head_cache.heads_of_model`."""
    from nanochat.why.head_cache import heads_of_model
    from nanochat.why.heads import ROLES

    scan = heads_of_model(
        held.model,
        held.tokenizer,
        ablate=params.ablate,
        on_progress=lambda share: context.progress("Switching off heads.", 100 * share),
        cancel=cancel,
    )
    heads = [
        HeadHabit(layer=one.layer, head=one.head, scores=one.scores, roles=one.roles, accuracy=one.accuracy)
        for one in scan.heads
    ]
    roles = [HeadRole(key=key, words=role.words, at=role.at) for key, role in ROLES.items()]
    return ScanHeadsResult(accuracy=scan.accuracy, heads=heads, roles=roles, model=held.info)
