"""Values of interventions that are taken from elsewhere, as numbers: another trace's, or what prompts make.

The difference of two prompts' means is the steering vector of activation addition (Turner et al. 2023,
https://arxiv.org/abs/2308.10248) and of contrastive activation addition (Panickssery et al. 2023,
https://arxiv.org/abs/2312.06681), taken over all positions.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nanochat.capture.edits import prompt_means
from nanochat.capture.interventions import Intervention, parse_interventions, refusing
from nanochat.capture.sites import SITES, WEIGHTS
from nanochat.capture.tap import SiteLayer
from nanochat.capture.values import Source, check_shape
from nanochat.errors import OtherModelError
from nanochat.gpt import GPT
from nanochat.model_turn import turn_of
from nanochat.prompts import prompt_tokens
from nanochat.tokenizer import RustBPETokenizer
from nanochat.trace_storage import TraceStorage
from nanochat.traces.trace import Trace
from nanochat.why.identity import differences

LARGEST = 256 << 20  # bytes of a tensor that is taken position by position


def resolved(
    interventions: Sequence[Mapping[str, Any] | Intervention],
    model: GPT,
    tokenizer: RustBPETokenizer,
    storage: TraceStorage,
    cancel: threading.Event | None = None,
) -> tuple[Intervention, ...]:
    """Interventions with all their numbers, as `model.editing` takes them; without a change where none are lacking.

    Args:
        tokenizer: by which prompts are read.
        storage: the folder of the traces that are named.

    Raises:
        As `parse_interventions` and `with_stored`. CancelledError: `cancel` was set.
    """
    parsed = parse_interventions(interventions, model.config)
    return with_computed(with_stored(parsed, model, tokenizer, storage), model, tokenizer, cancel)


def with_stored(
    interventions: Sequence[Intervention], model: GPT, tokenizer: RustBPETokenizer, storage: TraceStorage
) -> tuple[Intervention, ...]:
    """The same with the numbers that files have; the prompts of the others are looked at, and not run.

    Raises:
        TraceNotFoundError, TraceUnreadableError, TraceIdInvalidError: there is no such trace.
        OtherModelError: another model wrote it.
        PromptInvalidError, PromptTooLongError: a prompt cannot be run.
        SettingInvalidError: the trace did not capture the site, or lacks the position.
    """
    found = []
    for number, item in enumerate(interventions):
        with refusing(number):
            found.append(_with_stored(item, model, tokenizer, storage))
    return tuple(found)


def _with_stored(item: Intervention, model: GPT, tokenizer: RustBPETokenizer, storage: TraceStorage) -> Intervention:
    source = item.value
    if not item.unresolved or not isinstance(source, Source):
        return item
    for prompt in source.prompts:
        prompt_tokens(tokenizer, prompt, None, model.config.max_positions)
    if source.kind != "trace":
        return item
    assert isinstance(source.given, str)
    with storage.open_trace(source.given) as trace:
        return replace(item, numbers=_of_trace(trace, item, source.position, model))


def _of_trace(trace: Trace, item: Intervention, position: int | None, model: GPT) -> np.ndarray:
    """A trace's values at a site: (positions, *shape), or of one position (*shape). Of weights the shape is (H, S)."""
    if other := differences(trace.fields.model, model):
        raise OtherModelError(
            f"{trace.trace_id}, which its value is to be taken from, was written by another model: {', '.join(other)}. "
            "Name a trace of this one."
        )
    site = SITES[item.site]
    name = site.tensor_name(item.layer)
    info = trace.infos().get(name)
    if info is None:
        raise ValueError(
            f"{trace.trace_id} did not capture {name}: capture its prompt again, `nanoscope capture PROMPT --sites "
            f"{site.name}`, and name that trace"
        )
    axis = 2 if site.name == WEIGHTS else 1  # of the positions
    if len(info.dims) <= axis or info.dims[0] != 1:
        raise ValueError(f"{name} of {trace.trace_id} is {' x '.join(map(str, info.dims))}, which is not as captured")
    count = info.dims[axis]
    if position is not None and position >= count:
        raise ValueError(f"{trace.trace_id} has no position {position}: it has 0 to {count - 1}")
    if position is None and info.size * np.float32().itemsize > LARGEST:
        raise ValueError(f"{name} of {trace.trace_id} is too large to be taken as a whole: give a `position`")
    rows = slice(None) if position is None else position
    values = trace.tensor(name, (0, slice(None), rows) if site.name == WEIGHTS else (0, rows))
    values = values.swapaxes(0, 1) if site.name == WEIGHTS and position is None else values
    check_shape(values.shape, site, model.config)
    if not np.isfinite(values).all():
        raise ValueError(f"{name} of {trace.trace_id} has values that are no numbers")
    return values


def with_computed(
    interventions: Sequence[Intervention],
    model: GPT,
    tokenizer: RustBPETokenizer,
    cancel: threading.Event | None = None,
) -> tuple[Intervention, ...]:
    """The same with the numbers that prompts make: each prompt is run once, without interventions.

    Raises:
        CancelledError: `cancel` was set. ModelBusyError: a capture is under way.
    """
    places = prompts_to_run(interventions)
    if not places:
        return tuple(interventions)
    means: dict[str, tuple[int, dict[SiteLayer, np.ndarray]]] = {}
    with turn_of(model).held(cancel):
        before = model.tap
        try:
            for prompt, wanted in places.items():
                tokens = prompt_tokens(tokenizer, prompt, None, model.config.max_positions)
                found = prompt_means(model, tokens, wanted, cancel)
                means[prompt] = len(tokens), {place: mean.double().cpu().numpy() for place, mean in found.items()}
        finally:
            model.attach(before)
    return tuple(replace(item, numbers=_computed(item, means)) if _lacking(item) else item for item in interventions)


def prompts_to_run(interventions: Sequence[Intervention]) -> dict[str, set[SiteLayer]]:
    """The prompts that have yet to be run for some interventions, each once, and what is wanted of them."""
    places: dict[str, set[SiteLayer]] = {}
    for item in interventions:
        for prompt in _lacking(item):
            places.setdefault(prompt, set()).add((item.site, item.layer))
    return places


def _lacking(item: Intervention) -> Iterable[str]:
    """The prompts that are to be run for it."""
    return item.value.prompts if item.unresolved and isinstance(item.value, Source) else ()


def _computed(item: Intervention, means: Mapping[str, tuple[int, dict[SiteLayer, np.ndarray]]]) -> np.ndarray:
    """The difference of two prompts' means, or the mean over all positions of all prompts."""
    assert isinstance(item.value, Source)
    place = item.site, item.layer
    found = [(means[prompt][0], means[prompt][1][place]) for prompt in item.value.prompts]
    if item.value.kind == "difference":
        (_, one), (_, other) = found
        return (one - other) * item.value.times
    return np.asarray(sum(count * mean for count, mean in found) / sum(count for count, _ in found))
