"""The model that is held, those that can be loaded, and the one that a client means."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from protocol.types import meanings
from protocol.types.base import Count, DType, FolderPath, Name, Params, Result, Source


class ModelInfo(Result):
    """What the daemon holds, or is about to."""

    state: Annotated[Literal["unloaded", "loading", "ready", "failed"], Meta(description="Whether it can be used.")]
    source: Annotated[str | None, meanings.SOURCE] = None
    tag: Annotated[str | None, meanings.TAG] = None
    step: Annotated[int | None, meanings.STEP] = None
    era: Annotated[str | None, meanings.ERA] = None
    path: Annotated[str | None, meanings.PATH] = None
    base_dir: Annotated[str | None, Meta(description="nanochat's base folder when it was loaded.")] = None
    parameters: Annotated[int | None, Meta(description="How many numbers it has learned.")] = None
    layers: Annotated[int | None, Meta(description="How many.")] = None
    heads: Annotated[int | None, Meta(description="Attention heads of a layer.")] = None
    context: Annotated[int | None, Meta(description="Positions that the model has.")] = None
    device: Annotated[str | None, meanings.DEVICE] = None
    dtype: Annotated[str | None, meanings.COMPUTE_DTYPE] = None
    note: Annotated[
        str | None,
        Meta(
            description="Every choice that was made in loading it where the checkpoint or the folder leaves one open."
        ),
    ] = None
    error: Annotated[str | None, Meta(description="Why loading failed.")] = None
    outdated: Annotated[
        str | None, Meta(description="What has changed on the disk since it was loaded, where that was asked for.")
    ] = None


class NamedModel(Params):
    """The model that a client means: what is named is what answers; what is left out does not matter."""

    source: Annotated[Source | None, meanings.SOURCE] = None
    tag: Annotated[Name | None, meanings.TAG] = None
    step: Annotated[Count | None, meanings.STEP] = None
    era: Annotated[Name | None, meanings.ERA] = None
    device: Annotated[Name | None, meanings.DEVICE] = None
    dtype: Annotated[DType | None, meanings.COMPUTE_DTYPE] = None
    window_pattern: Annotated[Name | None, meanings.WINDOW_PATTERN] = None
    base_dir: Annotated[FolderPath, Meta(description="nanochat's base folder that it is of.")] | None = None


class CheckpointInfo(Result):
    """One checkpoint, with the steps that are there."""

    source: Annotated[str, meanings.SOURCE]
    tag: Annotated[str, meanings.TAG]
    steps: Annotated[list[int], Meta(description="Training steps of which there are checkpoints.")]
    path: Annotated[str, meanings.PATH]


class ListModelsResult(Result):
    """What there is to load, and what is held."""

    models: Annotated[list[CheckpointInfo], Meta(description="What can be loaded.")]
    base_dir: Annotated[str, Meta(description="Where nanochat's checkpoints are looked for.")]
    current: Annotated[ModelInfo, Meta(description="What is held.")]


class LoadModelParams(Params):
    """A checkpoint, named as `list_models` has it, or a folder."""

    source: Annotated[Source, meanings.SOURCE]
    tag: Annotated[Name | None, Meta(description="Which of the source's models; the deepest by default.")] = None
    step: Annotated[Count | None, Meta(description="The training step; the last by default.")] = None
    era: Annotated[Name | None, Meta(description="The architecture, where the checkpoint does not tell.")] = None
    device: Annotated[Name | None, Meta(description="`cpu`, `cuda` or `mps`; the best there is by default.")] = None
    dtype: Annotated[DType | None, Meta(description="What to compute in.")] = None
    window_pattern: Annotated[Name | None, meanings.WINDOW_PATTERN] = None


class LoadModelResult(Result):
    """The model now held."""

    model: Annotated[ModelInfo, meanings.MODEL_HELD]


class ModelChanged(Params):
    """The model that is held, loaded, or failed to load."""

    model: Annotated[ModelInfo, meanings.MODEL_HELD]
