"""A checkpoint's files: reading them as data, with nothing in them run, and writing them as nanochat does."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nanochat.errors import CheckpointInvalidError, CheckpointNotFoundError
from nanochat.gpt_config import config_problem

COMPILED_PREFIX = "_orig_mod."


def read_meta(path: Path) -> dict[str, Any]:
    """A checkpoint's metadata, with a usable model_config.

    Raises:
        CheckpointNotFoundError, CheckpointInvalidError: missing; unreadable, not JSON, or sizes missing or impossible.
    """
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointNotFoundError(f"There is no {path}: copy it from where the weights came from.") from error
    except OSError as error:
        raise CheckpointInvalidError(
            f"{path} cannot be read ({error.strerror or error}): make it a file that you may read."
        ) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointInvalidError(f"{path} cannot be read as JSON ({error}): copy it again.") from error
    config = meta.get("model_config") if isinstance(meta, dict) else None
    if not isinstance(config, dict):
        raise CheckpointInvalidError(f"{path} has no model_config: it is not the metadata of a nanochat checkpoint.")
    problem = config_problem(config)
    if problem:
        raise CheckpointInvalidError(f"{path}: {problem}. Copy the file again from where the weights came from.")
    return meta


def read_state(path: Path) -> dict[str, Tensor]:
    """A checkpoint's tensors, memory-mapped, with nothing in the file run; compile's key prefix is taken off.

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
        first_line = str(error).strip().split("\n")[0]
        # Of a pickle that it refuses, torch says how to run it all the same: not to be passed on.
        said = "" if isinstance(error, pickle.UnpicklingError) else f": {first_line[:200]}"
        raise CheckpointInvalidError(
            f"{path} cannot be loaded: it is damaged, incomplete, or holds something other than weights; nothing in it "
            f"was run. Copy it again from its source. ({type(error).__name__}{said})"
        ) from error
    if not isinstance(state, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise CheckpointInvalidError(
            f"{path} does not hold a state dict of named tensors: it is not a nanochat checkpoint."
        )
    for key, value in state.items():
        if value.layout != torch.strided or not value.is_floating_point() or value.is_meta:
            raise CheckpointInvalidError(f"{path}: {key!r} is not an ordinary tensor of floating-point numbers.")
    named = {key.removeprefix(COMPILED_PREFIX): value for key, value in state.items()}
    if len(named) < len(state):
        raise CheckpointInvalidError(f"{path} holds keys both with and without the prefix {COMPILED_PREFIX}.")
    return named


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
