"""Answers that need the model: generating with a capture, loading another model; and what models there are."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from daemon.dispatch import Context, finished, handles, in_thread
from daemon.generation_progress import Progress
from daemon.model_holder import Wish
from nanochat.base_dir import get_base_dir
from nanochat.checkpoints import list_models as models_below
from nanochat.errors import PromptInvalidError
from nanochat.generation_settings import GenerationSettings
from nanochat.trace_storage import check_category
from protocol.methods import GENERATE_AND_CAPTURE, LIST_MODELS, LOAD_MODEL
from protocol.types import (
    CheckpointInfo,
    GenerateAndCaptureParams,
    GenerateAndCaptureResult,
    ListModelsResult,
    LoadModelParams,
    LoadModelResult,
    NoParams,
)

if TYPE_CHECKING:
    from daemon.trace_folders import TraceFolder


@handles(GENERATE_AND_CAPTURE)
async def generate_and_capture(context: Context, params: GenerateAndCaptureParams) -> GenerateAndCaptureResult:
    """Wait for the model and a turn, generate, save; the trace is in the session's folder."""
    _check(params)
    hub, progress = context.hub, Progress(context, params.stream)
    hub.model.load_soon()
    work = partial(_generate, context, params, progress, hub.folder_of(context.session))
    job = hub.worker.submit(context.session, work, context.cancel, progress.position)
    try:
        return await finished(context, job)
    finally:
        hub.status_changed()


def _check(params: GenerateAndCaptureParams) -> None:
    """Refuse at once what can be told without the model; the engine checks all of it."""
    if (params.prompt is None) == (params.messages is None):
        raise PromptInvalidError("Give either a prompt or messages.")
    GenerationSettings(params.max_tokens, params.temperature, params.top_k, params.seed).check()
    if params.category is not None:
        check_category(params.category)


def _generate(
    context: Context,
    params: GenerateAndCaptureParams,
    progress: Progress,
    folder: TraceFolder,
    cancelled: threading.Event,
) -> GenerateAndCaptureResult:
    """On the model thread."""
    from nanochat.interpretability_engine import InterpretabilityEngine

    held = context.hub.model.held()
    engine = InterpretabilityEngine(held.model, held.tokenizer, folder.storage)
    arguments: dict[str, Any] = msgspec.to_builtins(params)
    del arguments["stream"]
    try:
        result = engine.generate_and_capture(
            **arguments,
            on_token=lambda event: progress.token(event, params.max_tokens),
            on_notice=progress.notice,
            cancel=cancelled,
        )
    finally:
        engine.clear_model_captures()
    return msgspec.convert(result, GenerateAndCaptureResult)


@handles(LOAD_MODEL)
async def load_model(context: Context, params: LoadModelParams) -> LoadModelResult:
    """Wait for a turn and switch models; the one held goes on serving until the other is whole."""
    hub, wish = context.hub, Wish(**msgspec.structs.asdict(params))
    work = partial(hub.model.load, wish)
    job = hub.worker.submit(context.session, work, context.cancel, Progress(context).position)
    try:
        return LoadModelResult(model=await finished(context, job))
    finally:
        hub.status_changed()


@handles(LIST_MODELS)
async def list_models(context: Context, params: NoParams) -> ListModelsResult:
    """What nanochat's base folder has, and the built-in model; torch is not needed for it."""
    base_dir = get_base_dir()
    models = await in_thread(context, models_below, base_dir)
    return ListModelsResult(
        models=[
            CheckpointInfo(source=model.source, tag=model.tag, steps=list(model.steps), path=str(model.path))
            for model in models
        ],
        base_dir=str(base_dir),
        current=context.hub.model.describe(),
    )
