"""Which files beside a checkpoint are nanochat's own, by what they hold: other programs use the same names."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nanochat.checkpoints.file_kind import JSON, is_dangling, what_it_is

LARGEST = 16 << 20  # bytes: ten times the largest tokenizer, and far above any metadata
TOKENIZER_NAMES = ("tokenizer.pkl", "tokenizer.json")
PICKLED = b"\x80"  # how every pickle begins since Python 2.3
ENCODING = b"tiktoken"  # the class that nanochat's pickle names in its first bytes


def json_of(path: Path) -> Any:
    """What a JSON file holds; None where it cannot be read as JSON.

    Raises:
        OSError: it may not be read.
    """
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    try:
        return json.loads(content) if len(content) <= LARGEST else None
    except (ValueError, RecursionError):
        return None


def other_tokenizer(path: Path) -> str | None:
    """Whose a tokenizer is that is not nanochat's; None for nanochat's own, and for one that is damaged.

    Raises:
        OSError: it may not be read.
    """
    if path.suffix == ".json":
        state = json_of(path)
        if isinstance(state, dict) and "mergeable_ranks" in state:
            return None
        if isinstance(state, dict) and "model" in state:
            return "a Hugging Face tokenizer"
        # Hugging Face's is much the commoner, so one that cannot be read hides no tokenizer.pkl either.
        return what_it_is(path, JSON) or "no tokenizer of nanochat's"
    with path.open("rb") as file:
        head = file.read(512)
    return "a pickle of something else" if head.startswith(PICKLED) and ENCODING not in head else None


def nearest_tokenizer(folders: Iterable[Path]) -> tuple[Path | None, str]:
    """The first of nanochat's own in some folders, the nearest first; see `Checkpoint.tokenizer_file`.

    Raises:
        OSError: a folder cannot be searched.
    """
    others: dict[Path, str] = {}
    for path in (folder / name for folder in folders for name in TOKENIZER_NAMES):
        if is_dangling(path):
            return path, ""  # reading it says so; another one might be another model's
        if path in others or not path.is_file():
            continue
        other = other_tokenizer(path)
        if other is None:
            return path, "; ".join(f"passed over {found}, {kind}" for found, kind in others.items())
        others[path] = other
    return next(iter(others), None), ""


def is_model_json(path: Path) -> bool:
    """Whether a model.json is that of a model as the built-in one is kept; one that is damaged may be.

    Raises:
        OSError: it may not be read.
    """
    if not path.is_file():
        return False
    found = json_of(path)
    return found is None or (isinstance(found, dict) and "model_config" in found)


def recorded_layers(meta: Path) -> int | None:
    """The n_layer of a checkpoint's metadata; None where they do not tell."""
    try:
        found = json_of(meta)
    except OSError:
        return None
    config = found.get("model_config") if isinstance(found, dict) else None
    layers = config.get("n_layer") if isinstance(config, dict) else None
    return layers if type(layers) is int else None


# What else may lie in a folder, by name, for the error that says why nothing there was taken.
UNREAD = ", which nanoscope does not read"
OTHERS = (
    ("*.dvc", "DVC's pointer to a file: fetch it with `dvc pull`"),
    ("*.incomplete", "half a download: finish it"),
    ("*.part", "half a download: finish it"),
    ("*.crdownload", "half a download: finish it"),
    ("config.json", f"a Hugging Face model{UNREAD}"),
    ("*.safetensors", f"weights as Hugging Face keeps them{UNREAD}"),
    ("pytorch_model*.bin", f"weights as Hugging Face keeps them{UNREAD}"),
    ("*.gguf", f"a llama.cpp model{UNREAD}"),
    ("optim_*.pt", f"optimizer states of nanochat's{UNREAD}"),
    ("meta_*.json", "metadata of nanochat's without their weights"),
    ("*.pt", f"a file of torch's under a name that nanochat does not give{UNREAD}"),
)


def others_in(folder: Path) -> str:
    """What a folder holds instead of a checkpoint, as a sentence; "" where there is nothing to say."""
    for path in sorted(folder.glob("model*.*")):
        if is_dangling(path):
            return f" {path.name} there is {what_it_is(path, '')}."
    for pattern, kind in OTHERS:
        for path in sorted(folder.glob(pattern)):
            return f" {path.name} there is {kind}."
    return ""
