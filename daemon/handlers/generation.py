"""Answers that need the model: generating with a capture, loading another model; and what models there are."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from daemon.handlers.generation_progress import Progress
from daemon.handlers.model_work import on_lent_model, on_model
from daemon.server.dispatch import Context, finished, handles, in_thread
from daemon.server.loaded_model import ModelSpec, outdated
from nanochat.checkpoints.layouts import list_models as models_below
from nanochat.errors import PromptInvalidError
from nanochat.generation_settings import GenerationSettings
from nanochat.trace_storage import check_category
from nanochat.traces.metadata import checked_metadata
from protocol.methods import FORK_TRACE, GENERATE_AND_CAPTURE, INTERVENE, LIST_MODELS, LOAD_MODEL, Method
from protocol.types import (
    CheckpointInfo,
    ForkTraceParams,
    ForkTraceResult,
    GenerateAndCaptureParams,
    GenerateAndCaptureResult,
    InterveneParams,
    InterveneResult,
    ListModelsResult,
    LoadModelParams,
    LoadModelResult,
    ModelInfo,
    NamedModel,
    NoParams,
)

if TYPE_CHECKING:
    from daemon.folders.trace_folders import TraceFolder
    from daemon.server.loaded_model import LoadedModel
    from daemon.server.state import ServerState

Asked = GenerateAndCaptureParams | InterveneParams | ForkTraceParams


@handles(GENERATE_AND_CAPTURE)
async def generate_and_capture(context: Context, params: GenerateAndCaptureParams) -> GenerateAndCaptureResult:
    """Wait for the model and a turn, generate, save; the trace is in the session's folder."""
    _check(params)
    if params.metadata:
        await in_thread(context, checked_metadata, params.metadata)
    return await _answer(context, GENERATE_AND_CAPTURE, params)


@handles(INTERVENE)
async def intervene(context: Context, params: InterveneParams) -> InterveneResult:
    """Wait for the model and a turn, and run the trace's prompt again; on another model, where one is named."""
    return await _answer(context, INTERVENE, params)


@handles(FORK_TRACE)
async def fork_trace(context: Context, params: ForkTraceParams) -> ForkTraceResult:
    """Wait for the model and a turn, and go on from another token."""
    return await _answer(context, FORK_TRACE, params)


async def _answer(context: Context, method: Method, params: Asked) -> Any:
    """The result of the engine's method of that name; its trace is in the session's folder."""
    progress, folder = Progress(context, params.stream), context.state.folder_of(context.session)
    named = params.model if isinstance(params, InterveneParams) else None
    on_it = on_model if named is None else partial(on_lent_model, named)
    return await on_it(context, progress, partial(_generate, method, params, progress, folder))


def _check(params: GenerateAndCaptureParams) -> None:
    """Refuse at once what can be told without the model; the engine checks all of it."""
    if (params.prompt is None) == (params.messages is None):
        raise PromptInvalidError("Give either a prompt or messages.")
    GenerationSettings(params.max_tokens, params.temperature, params.top_k, params.seed).check()
    if params.category is not None:
        check_category(params.category)


def _generate(
    method: Method,
    params: Asked,
    progress: Progress,
    folder: TraceFolder,
    held: LoadedModel,
    cancelled: threading.Event,
) -> Any:
    """On the model thread."""
    from nanochat.interpretability_engine import InterpretabilityEngine

    engine = InterpretabilityEngine(held.model, held.tokenizer, folder.storage)
    arguments: dict[str, Any] = msgspec.to_builtins(params)
    del arguments["stream"]
    if isinstance(params, InterveneParams):
        arguments["anyway"] |= arguments.pop("model") is not None
    at_most = params.max_tokens if isinstance(params, GenerateAndCaptureParams) else None
    try:
        result = getattr(engine, method.name)(
            **arguments,
            on_token=lambda event: progress.token(event, at_most),
            on_notice=progress.notice,
            cancel=cancelled,
        )
    finally:
        engine.clear_model_captures()
    if result.get("cost") and held is not progress.context.state.model.current():
        result["cost"]["bytes"] += sum(weight.nbytes for weight in held.model.parameters())  # it is lent
    return msgspec.structs.replace(msgspec.convert(result, method.result), model=held.info)


@handles(LOAD_MODEL)
async def load_model(context: Context, params: LoadModelParams) -> LoadModelResult:
    """Wait for a turn and switch models; the one held goes on serving until the other is whole."""
    state, session, asked = context.state, context.session, msgspec.structs.asdict(params)
    session.asked_model = True

    def work(cancelled: threading.Event) -> ModelInfo:
        info = state.model.load(ModelSpec(**asked, base_dir=session.base_dir), cancelled)
        session.named = NamedModel(**asked, base_dir=info.base_dir)  # what it asked for last is what it means
        return info

    job = state.worker.submit(session, work, context.cancel, Progress(context).position)
    try:
        return LoadModelResult(model=await finished(context, job))
    finally:
        state.status_changed()


@handles(LIST_MODELS)
async def list_models(context: Context, params: NoParams) -> ListModelsResult:
    """What nanochat's base folder has, and the built-in model; torch is not needed for it."""
    base_dir = context.state.base_dir_of(context.session)
    models = await in_thread(context, models_below, base_dir)
    return ListModelsResult(
        models=[
            CheckpointInfo(source=model.source, tag=model.tag, steps=list(model.steps), path=str(model.path))
            for model in models
        ],
        base_dir=str(base_dir),
        current=await in_thread(context, described, context.state),
    )


def described(state: ServerState) -> ModelInfo:
    """What is held, and what has changed on the disk since; it looks there."""
    info, held = state.model.describe(), state.model.current()
    changed = outdated(held) if held is not None and held.info.path == info.path else None
    return msgspec.structs.replace(info, outdated=changed)
