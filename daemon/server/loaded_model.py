"""A model that is held: what it is, which spec it met, which files it was read of, and whether those have changed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nanochat.checkpoints.layouts import SOURCES, WEIGHTS_PATTERN, Checkpoint, chosen_source
from nanochat.system.text import note_of, shortened
from protocol.errors import RpcError
from protocol.types import ModelInfo

if TYPE_CHECKING:
    from nanochat.gpt import GPT
    from nanochat.tokenizer import RustBPETokenizer

SHOWN = 300  # characters that all clients see of a source that one gave
FileState = tuple[int, int, int]  # inode, size, time of the last change


@dataclass(frozen=True)
class LoadedModel:
    """A model that is whole and ready, with its tokenizer."""

    model: GPT
    tokenizer: RustBPETokenizer
    info: ModelInfo
    spec: ModelSpec  # that it was loaded by, its source and its base folder filled in
    files: Files


@dataclass(frozen=True)
class Files:
    """What a model was read of, links followed: which folder's files it is of, whatever they are called."""

    weights: Path
    tokenizer: Path | None
    base_dir: Path
    step: int | None  # as the weights' name has it
    state: FileState | None  # of the weights, when they were read


@dataclass(frozen=True)
class ModelSpec:
    """Which checkpoint, and how it is to compute; None: chosen on loading."""

    source: str | None = None
    tag: str | None = None
    step: int | None = None
    era: str | None = None
    device: str | None = None
    dtype: str | None = None
    window_pattern: str | None = None
    base_dir: Path | None = None  # nanochat's; None: the daemon's own

    def __str__(self) -> str:
        source = shortened(self.source or "the most useful checkpoint", SHOWN)
        named = (source, self.tag, self.step is not None and f"step {self.step}")
        return " ".join(part for part in named if part)


def source_of(
    source: str | None, base_dir: Path, tag: str | None = None, step: int | None = None
) -> tuple[str, str | None]:
    """Where to load from, and a note where the choice was ours.

    Raises:
        RpcError: SETTING_INVALID: a folder that depends on where one stands.
    """
    if source not in (None, *SOURCES, "demo") and not os.path.isabs(os.path.expanduser(source)):
        raise RpcError(
            "SETTING_INVALID",
            f"source={source!r}: use {', '.join(SOURCES)}, demo, or a folder's whole path, since the daemon runs in "
            "another folder than you.",
        )
    return chosen_source(source, base_dir, tag, step)


def held_model(
    model: GPT, tokenizer: RustBPETokenizer, spec: ModelSpec, base_dir: Path, note: str | None
) -> LoadedModel:
    """What was just loaded.

    Args:
        spec: its source filled in.
        base_dir: nanochat's base folder.
        note: of how it was chosen.
    """
    info = _info_of(model, base_dir, note)
    model.provenance["note"] = info.note  # for the traces
    return LoadedModel(model, tokenizer, info, spec, _files_of(info, base_dir))


def _info_of(model: GPT, base_dir: Path, note: str | None) -> ModelInfo:
    config, provenance = model.config, model.provenance
    return ModelInfo(
        state="ready",
        source=provenance["source"],
        tag=provenance["tag"],
        step=provenance["step"],
        era=config.era,
        path=provenance["path"],
        base_dir=str(base_dir),
        parameters=model.num_parameters(),
        layers=config.n_layer,
        heads=config.n_head,
        context=config.max_positions,
        device=str(model.get_device()),
        dtype=str(model.dtype).removeprefix("torch."),
        note="; ".join(filter(None, (note, note_of(provenance)))) or None,
    )


def _files_of(info: ModelInfo, base_dir: Path) -> Files:
    assert info.path is not None and info.source is not None and info.tag is not None
    path = Path(info.path)
    match = WEIGHTS_PATTERN.fullmatch(path.name)
    step = int(match[1]) if match else info.step
    tokenizer = Checkpoint(info.source, info.tag, step or 0, path, path).tokenizer_file(base_dir)[0]
    return Files(real(path), tokenizer and real(tokenizer), real(base_dir), step, state_of(path))


def real(path: str | Path) -> Path:
    """A path with links followed and `~` filled in, whether or not there is anything."""
    return Path(os.path.realpath(os.path.expanduser(path)))


def state_of(path: Path) -> FileState | None:
    """What tells a file from the one that may take its place; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def outdated(held: LoadedModel) -> str | None:
    """What has changed on the disk since it was loaded; None: nothing."""
    assert held.info.path is not None
    path, state = held.files.weights, state_of(held.files.weights)
    if real(held.info.path) != path:
        return f"{held.info.path} leads elsewhere since it was loaded: `nanoscope load` takes what is there."
    if state is None:
        return f"{path} is gone, or may not be read any more; the model held is the one that was there."
    if state != held.files.state:
        return f"{path} has changed since it was loaded: `nanoscope load` reads it anew."
    newest = max(_steps_beside(path), default=None)
    if held.spec.step is None and held.files.step is not None and newest is not None and newest > held.files.step:
        return f"Step {newest} has come since step {held.files.step} was loaded: `nanoscope load` takes it."
    return None


def _steps_beside(weights: Path) -> list[int]:
    try:
        names = os.listdir(weights.parent)
    except OSError:
        return []
    return [int(match[1]) for match in map(WEIGHTS_PATTERN.fullmatch, names) if match]
