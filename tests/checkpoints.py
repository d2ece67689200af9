"""Tiny checkpoints on disk, in any layout."""

import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import torch

from nanochat.checkpoint_manager import load_model, model_config_of, save_checkpoint
from nanochat.checkpoints.layouts import DEMO_FOLDER, SOURCES
from nanochat.gpt import GPT
from tests.models import GOLDEN, random_model

IDS = torch.arange(12)[None] * 5 + 1
TOKENIZER = GOLDEN / "F" / "gqa_windowed" / "tokenizer"


@cache
def tiny_model(era: str = "F") -> GPT:
    """One block over the golden tokenizer's 300 tokens."""
    return random_model(era, n_layer=1, n_embd=32, n_head=2, n_kv_head=1, sequence_len=16)


def write_tokenizer(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(TOKENIZER / "tokenizer.pkl", folder)


def write_checkpoint(folder: Path, step: int = 10, model: GPT | None = None, **meta: Any) -> Path:
    """Write a checkpoint of `tiny_model`, or another; returns the weights' path."""
    model = model or tiny_model()
    config = model_config_of(model)
    if not model.era.lambdas:
        del config["window_pattern"]
    save_checkpoint(folder, step, model.state_dict(), None, {"step": step, "model_config": config, **meta})
    return folder / f"model_{step:06d}.pt"


def write_flat(folder: Path, step: int = 10, model: GPT | None = None, **meta: Any) -> Path:
    """The same with the tokenizer beside it, as published models come."""
    write_tokenizer(folder)
    return write_checkpoint(folder, step, model, **meta)


def write_without_heads(base_dir: Path, step: int, layer: int, heads: Iterable[int], source: str = "base") -> Path:
    """The built-in model as a checkpoint d4 in nanochat's base folder, what these heads write being zero exactly."""
    (base_dir / "tokenizer").mkdir(parents=True, exist_ok=True)
    shutil.copy(DEMO_FOLDER / "tokenizer.json", base_dir / "tokenizer")
    model = load("demo")[0]
    width = model.config.head_dim
    with torch.no_grad():
        for head in heads:
            model.transformer.h[layer].attn.c_proj.weight[:, head * width : (head + 1) * width] = 0
    return write_checkpoint(base_dir / SOURCES[source] / "d4", step, model)


def edit_meta(weights: Path, **changes: Any) -> None:
    """Change fields of the model_config beside the weights; None takes one away."""
    path = weights.with_name(weights.name.replace("model_", "meta_")).with_suffix(".json")
    meta = json.loads(path.read_text(encoding="utf-8"))
    config = meta["model_config"] | changes
    meta["model_config"] = {key: value for key, value in config.items() if value is not None}
    path.write_text(json.dumps(meta), encoding="utf-8")


def changed_state(weights: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the tensors in a file."""
    state = torch.load(weights, weights_only=True)
    change(state)
    torch.save(state, weights)


def load(folder: Path | str, **settings: Any) -> Any:
    """What `load_model` gives on the CPU."""
    return load_model(folder, "cpu", "eval", **settings)


def logits_of(model: GPT) -> torch.Tensor:
    """What it makes of a few tokens."""
    with torch.no_grad():
        return model(IDS)


def tree(folder: Path) -> list[str]:
    """Everything below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def touch_at(folder: Path, seconds: int) -> None:
    """Set when a folder was last changed."""
    os.utime(folder, (seconds, seconds))


class Bomb:
    """Pickled, it creates a file when plain pickle loads it."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.target,))


def assert_bomb_works(content: bytes, target: Path) -> None:
    """See that a pickle does run code, so that a test of a reader that must not run it means something."""
    pickle.loads(content)
    assert target.exists()
    target.unlink()
