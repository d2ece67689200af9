"""What carried an answer from one prompt to another."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from daemon.handlers.answers import cost_of
from daemon.handlers.generation_progress import Progress
from daemon.handlers.model_work import on_model
from daemon.handlers.questions import text_of, token_of
from daemon.server.dispatch import Context, handles, in_thread
from nanochat.errors import PromptInvalidError
from nanochat.trace_storage import TraceStorage
from protocol.errors import RpcError
from protocol.methods import PATCH_SCAN
from protocol.types import (
    PatchAxis,
    PatchBaseline,
    PatchPrompt,
    PatchScanParams,
    PatchScanResult,
    PatchToken,
)

if TYPE_CHECKING:
    from daemon.server.loaded_model import LoadedModel
    from nanochat.why.patching import Axes, Pair

MOST_FORWARDS = 5000  # of a whole prompt, in one scan
MOST_CELLS = 500_000  # in one answer

Written = tuple[list[int], dict[str, Any] | None]  # a trace's prompt, and what it tells of its model


@handles(PATCH_SCAN)
async def patch_scan(context: Context, params: PatchScanParams) -> PatchScanResult:
    """Read the prompts, and run the scan on the model thread."""
    storage = context.state.folder_of(context.session).storage
    written = [
        await in_thread(context, _written, storage, name, getattr(params, name)) for name in ("clean", "corrupted")
    ]
    progress = Progress(context, params.stream)
    return await on_model(context, progress, partial(scan_of, params, written, progress))


def _written(storage: TraceStorage, name: str, prompt: PatchPrompt) -> Written | None:
    """What a trace has of a prompt; None for one that is a text. Raises PromptInvalidError: it is not one thing."""
    if sum(value is not None for value in (prompt.prompt, prompt.messages, prompt.trace_id)) != 1:
        raise PromptInvalidError(f"{name}: give one of prompt, messages and trace_id.")
    if prompt.trace_id is None:
        return None
    with storage.open_trace(prompt.trace_id) as trace:
        return trace.fields.tokens.prompt, trace.fields.model


def scan_of(
    params: PatchScanParams,
    written: list[Written | None],
    progress: Progress,
    held: LoadedModel,
    cancel: threading.Event,
) -> PatchScanResult:
    """On the model thread. Raises RpcError TOO_LARGE, and as `nanochat.why.patching.patch_scan`."""
    from nanochat.why.cost import patch_cost
    from nanochat.why.identity import check_writer
    from nanochat.why.patching import Receiver, pair_of, patch_scan, scan_axes, scan_forwards

    config, told = held.model.config, [prompt[1] for prompt in written if prompt]
    others = [check_writer(model, held.model, anyway=params.anyway) for model in told]
    clean, corrupted = (
        found[0] if found else _tokens(held, prompt)
        for found, prompt in zip(written, (params.clean, params.corrupted), strict=True)
    )
    answer, against = (token_of(held.tokenizer, name) for name in (params.answer, params.against))
    pair = pair_of(config, clean, corrupted, answer, against, partial(text_of, held.tokenizer))
    asked = params.receiver
    receiver = Receiver(asked.layer, asked.head, asked.input) if asked else None
    axes = scan_axes(config, pair, params.what, params.method, params.layers, receiver)
    forwards = scan_forwards(config, pair, params.what, params.method, axes, receiver)
    result = _result(params, pair, axes, held, next(filter(None, others), None))
    if params.estimate:
        result.cost = cost_of(patch_cost(held.model, pair.corrupted, forwards))
        return result
    _check_size(forwards, len(axes.cells))
    scan = patch_scan(
        held.model,
        pair,
        params.what,
        params.method,
        layers=params.layers,
        receiver=receiver,
        on_progress=lambda done, whole: progress.part(f"{done:,} of {whole:,} patches.", done, whole),
        cancel=cancel,
    )
    result.baseline = PatchBaseline(clean=scan.clean, corrupted=scan.corrupted)
    result.effects, result.worst_error, result.checked = scan.effects, scan.worst_error, scan.checked
    return result


def _tokens(held: LoadedModel, prompt: PatchPrompt) -> list[int]:
    from nanochat.prompts import prompt_tokens

    messages = None if prompt.messages is None else msgspec.to_builtins(prompt.messages)
    return prompt_tokens(held.tokenizer, prompt.prompt, messages, held.model.config.max_positions)


def _check_size(forwards: int, cells: int) -> None:
    for kind, count, limit in (("forwards", forwards, MOST_FORWARDS), ("effects", cells, MOST_CELLS)):
        if count > limit:
            raise RpcError(
                "TOO_LARGE",
                f"That is {count:,} {kind}; one scan has at most {limit:,}. Ask for fewer layers or shorter prompts"
                + (', or for the method "gradient".' if kind == "forwards" else "."),
                {kind: count, "limit": limit},
            )


def _result(
    params: PatchScanParams, pair: Pair, axes: Axes, held: LoadedModel, other_model: str | None
) -> PatchScanResult:
    """All but what the scan finds."""

    def token(one: int) -> PatchToken:
        return PatchToken(token=one, text=text_of(held.tokenizer, one))

    by, to = "head" if params.what in ("heads", "paths") else "position", params.receiver
    return PatchScanResult(
        what=params.what,
        method=params.method,
        answer=token(pair.answer),
        against=token(pair.against),
        clean=[token(one) for one in pair.clean],
        corrupted=[token(one) for one in pair.corrupted],
        baseline=None,
        effects=[],
        axes=[PatchAxis(name="layer", values=axes.layers), PatchAxis(name=by, values=axes.units)],
        worst_error=None,
        checked=[],
        model=held.info,
        other_model=other_model,
        receiver=f"{to.layer}.{to.head}.{to.input}" if to else None,
    )
