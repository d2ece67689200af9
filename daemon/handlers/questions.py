"""What questions about a trace share that its model answers: the trace's text, the model, tokens by name."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from daemon.handlers.generation_progress import Progress
from daemon.handlers.model_work import on_model
from daemon.server.dispatch import Context, in_thread
from nanochat.trace_storage import TraceStorage
from nanochat.why.tokens import token_of

if TYPE_CHECKING:
    from daemon.server.loaded_model import LoadedModel
    from nanochat.tokenizer import RustBPETokenizer

__all__ = ["Question", "ask", "text_of", "token_of"]

Result = TypeVar("Result")


@dataclass(frozen=True)
class Question:
    """A trace's tokens, put to a model."""

    tokens: list[int]
    held: LoadedModel
    other_model: str | None  # how it differs from the one that wrote the trace
    cancel: threading.Event


async def ask(context: Context, trace_id: str, anyway: bool, answer: Callable[[Question], Result]) -> Result:
    """What a model answers about a trace of the session's folder, on the model thread.

    Raises: RpcError as `on_model`, the errors of `TraceStorage.open_trace`, OtherModelError, and what `answer` raises.
    """
    storage = context.state.folder_of(context.session).storage
    tokens, told = await in_thread(context, _read, storage, trace_id)
    return await on_model(context, Progress(context), partial(_put, tokens, told, anyway, answer))


def _read(storage: TraceStorage, trace_id: str) -> tuple[list[int], dict[str, Any] | None]:
    with storage.open_trace(trace_id) as trace:
        return trace.fields.tokens.prompt + trace.fields.tokens.generated, trace.fields.model


def _put(
    tokens: list[int],
    told: dict[str, Any] | None,
    anyway: bool,
    answer: Callable[[Question], Result],
    held: LoadedModel,
    cancel: threading.Event,
) -> Result:
    from nanochat.why.identity import check_writer

    other_model = check_writer(told, held.model, anyway=anyway)
    # The last token of a full context has no position: it was never run.
    return answer(Question(tokens[: held.model.config.max_positions], held, other_model, cancel))


def text_of(tokenizer: RustBPETokenizer, token: int) -> str:
    """A token's text; `<id>` for one that the tokenizer lacks."""
    try:
        return tokenizer.token_text(token)
    except (KeyError, OverflowError):
        return f"<{token}>"
