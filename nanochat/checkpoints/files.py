"""A checkpoint's files: reading them as data, with nothing in them run, and writing them as nanochat does."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nanochat.checkpoints.file_kind import AGAIN, ARCHIVE, JSON, SAFETENSORS, what_it_is
from nanochat.checkpoints.keys import content_of, explained, unwrapped
from nanochat.errors import CheckpointInvalidError, CheckpointNotFoundError
from nanochat.gpt_config import config_problem

ANSWERS = ("error", "message", "detail")  # what servers put into JSON where they have no file


def read_meta(path: Path) -> dict[str, Any]:
    """A checkpoint's metadata, with a usable model_config.

    Raises:
        CheckpointNotFoundError, CheckpointInvalidError: missing; unreadable, not JSON, or sizes missing or impossible.
    """
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        found = what_it_is(path, JSON)
        reason = f"{path} is {found}" if found else f"There is no {path}: copy it from where the weights came from"
        raise CheckpointNotFoundError(f"{reason}.") from error
    except OSError as error:
        raise CheckpointInvalidError(
            f"{path} cannot be read ({error.strerror or error}): make it a file that you may read."
        ) from error
    except (ValueError, RecursionError) as error:
        found = what_it_is(path, JSON)
        reason = f"it is {found}." if found else f"{error}: copy it again."
        raise CheckpointInvalidError(f"{path} cannot be read as JSON: {reason}") from error
    config = meta.get("model_config") if isinstance(meta, dict) else None
    if not isinstance(config, dict):
        answer = next((meta[key] for key in ANSWERS if meta.get(key)), None) if isinstance(meta, dict) else None
        hint = f" It says {answer!r:.100}, as a server does instead of a file: download it again." if answer else ""
        raise CheckpointInvalidError(
            f"{path} has no model_config: it is not the metadata of a nanochat checkpoint.{hint}"
        )
    problem = config_problem(config)
    if problem:
        raise CheckpointInvalidError(f"{path}: {problem}.")
    return meta


def read_state(path: Path) -> dict[str, Tensor]:
    """A checkpoint's tensors, memory-mapped, with nothing in the file run; the prefixes of wrappers are taken off.

    Raises:
        CheckpointInvalidError: missing, truncated, damaged, or holding anything but tensors.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (PermissionError, FileNotFoundError) as error:
        raise CheckpointInvalidError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # torch raises nearly anything on a damaged file
        found = what_it_is(path, SAFETENSORS if path.suffix == ".safetensors" else ARCHIVE)
        if found:
            kind = "damaged, incomplete or something else altogether: " if AGAIN in found else ""
            raise CheckpointInvalidError(
                f"{path} cannot be loaded: it is {kind}{found}; nothing in it was run."
            ) from error
        first_line = str(error).strip().split("\n")[0]
        # Of a pickle that it refuses, torch says how to run it all the same: not to be passed on.
        hint = "" if isinstance(error, pickle.UnpicklingError) else f": {first_line[:200]}"
        raise CheckpointInvalidError(
            f"{path} cannot be loaded: it is damaged, incomplete, or holds something other than weights; nothing in it "
            f"was run. Copy it again from its source. ({type(error).__name__}{hint})"
        ) from error
    if not isinstance(state, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        kind = content_of(state) or "it is not a nanochat checkpoint"
        raise CheckpointInvalidError(f"{path} does not hold a state dict of named tensors: {kind}.")
    for key, value in state.items():
        if value.layout != torch.strided or not value.is_floating_point() or value.is_meta:
            kind = explained([key])
            raise CheckpointInvalidError(
                f"{path}: {key!r} is not an ordinary tensor of floating-point numbers.{f' {kind}.' if kind else ''}"
            )
    return unwrapped(state, path)


def save_checkpoint(
    checkpoint_dir: str | Path,
    step: int,
    model_data: Mapping[str, Tensor],
    optimizer_data: Any,
    meta_data: dict[str, Any],
    rank: int = 0,
) -> None:
    """Write a checkpoint as nanochat lays it out: model_<step>.pt, meta_<step>.json and the optimizer's shard."""
    folder = Path(checkpoint_dir)
    folder.mkdir(parents=True, exist_ok=True)
    if rank == 0:
        torch.save(dict(model_data), folder / f"model_{step:06d}.pt")
        (folder / f"meta_{step:06d}.json").write_text(json.dumps(meta_data, indent=2) + "\n", encoding="utf-8")
    if optimizer_data is not None:
        torch.save(optimizer_data, folder / f"optim_{step:06d}_rank{rank:d}.pt")
