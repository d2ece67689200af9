"""Work of a request that needs the model: it waits for a turn, and the model that the session names does it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from daemon.handlers.generation_progress import Progress
from daemon.server.dispatch import Context, finished
from daemon.server.named_models import Introduction, is_first, lent_to, model_for
from protocol.errors import RpcError

if TYPE_CHECKING:
    from daemon.server.loaded_model import LoadedModel
    from protocol.types import NamedModel

MISMATCH_ATTEMPTS, MISMATCH_SECONDS = 3, 0.2  # a client that has just hung up may still be counted
Result = TypeVar("Result")


async def on_model(
    context: Context, progress: Progress, work: Callable[[LoadedModel, threading.Event], Result]
) -> Result:
    """What some work gives, on the model thread, where models are switched: the one found to be the one named.

    Args:
        work: called with the model and the event that cancels it.

    Raises:
        RpcError: MODEL_MISMATCH, QUEUE_FULL, CANCELLED, and what keeps a model from being loaded. What `work` raises.
    """
    state, session = context.state, context.session
    session.asked_model = True

    def answer(cancelled: threading.Event) -> Result:
        return work(model_for(state, session, cancelled, progress.loading), cancelled)

    for attempt in range(1, MISMATCH_ATTEMPTS + 1):
        if session.named is None or is_first(session.named, state.model.first):
            state.model.load_soon()
        job = state.worker.submit(session, answer, context.cancel, progress.position)
        try:
            return await finished(context, job)
        except RpcError as error:
            if error.name != "MODEL_MISMATCH" or attempt == MISMATCH_ATTEMPTS:
                raise
        finally:
            state.status_changed()
        await asyncio.sleep(MISMATCH_SECONDS)
    raise AssertionError("the last attempt returns or raises")


async def on_lent_model(
    named: NamedModel, context: Context, progress: Progress, work: Callable[[LoadedModel, threading.Event], Result]
) -> Result:
    """The same with a model that is named for this work alone: the one held stays, whoever uses it.

    Raises:
        RpcError: SETTING_INVALID, QUEUE_FULL, CANCELLED, and what keeps a model from being loaded. What `work` raises.
    """
    state, session = context.state, context.session
    Introduction(model=named).checked()

    def answer(cancelled: threading.Event) -> Result:
        return lent_to(state, session, named, cancelled, progress.loading, lambda held: work(held, cancelled))

    job = state.worker.submit(session, answer, context.cancel, progress.position)
    try:
        return await finished(context, job)
    finally:
        state.status_changed()
