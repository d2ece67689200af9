"""Where checkpoints lie: every folder layout nanochat has had, and which one is meant."""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from nanochat.errors import CheckpointNotFoundError, SettingInvalidError, TokenizerInvalidError

# Source name to the folder that holds its checkpoints, the most trained first.
SOURCES = {
    "rl": "chatrl_checkpoints",
    "sft": "chatsft_checkpoints",
    "mid": "mid_checkpoints",
    "base": "base_checkpoints",
}
PREFERRED = ("sft", "rl", "mid", "base", "folder", "demo")  # where a folder holds several
DEMO_FOLDER = Path(__file__).parent / "demo_model"
DEMO_WEIGHTS = "model.safetensors"
# Below a folder: itself, <tag>, <source>_checkpoints/<tag>, <tag>/<source>, experiments/<name>/<tag>/<source>.
DEPTHS = ("", "*/", "*/*/", "experiments/*/*/*/")
WEIGHTS_PATTERN = re.compile(r"model_(\d+)\.pt$")
TOKENIZER_NAMES = ("tokenizer.pkl", "tokenizer.json")


@dataclass(frozen=True)
class Checkpoint:
    """One training step's files."""

    source: str
    tag: str
    step: int
    weights: Path
    meta: Path

    @property
    def depth(self) -> int:
        """The number in a tag d<number>, else -1."""
        match = re.fullmatch(r"d(\d+)", self.tag.split("/")[-1])
        return int(match[1]) if match else -1

    def tokenizer_folder(self, base_dir: Path) -> Path | None:
        """The nearest folder with a tokenizer: beside the weights, above them, else the base folder's.

        Raises:
            TokenizerInvalidError: a folder where it might be cannot be searched.
        """
        above = [self.weights.parent, *list(self.weights.parent.parents)[:3], base_dir]
        places = (place for root in above for place in (root, root / "tokenizer"))
        try:
            return next((at for at in places if any((at / name).is_file() for name in TOKENIZER_NAMES)), None)
        except OSError as error:
            raise TokenizerInvalidError(
                f"The tokenizer of {self.weights} cannot be looked for ({error}): make that folder readable."
            ) from error


def demo_checkpoint(folder: Path | None = None) -> Checkpoint:
    """The built-in model, or one trained anew by the same script in another folder."""
    tag, folder = ("demo", DEMO_FOLDER) if folder is None else (folder.name, folder)
    meta = folder / "model.json"
    return Checkpoint("demo", tag, _recorded_step(meta), folder / DEMO_WEIGHTS, meta)


def _recorded_step(meta: Path) -> int:
    """The step that metadata tells; 0 where they do not, which loading reports."""
    try:
        step = json.loads(meta.read_text(encoding="utf-8"))["step"]
    except (OSError, ValueError, LookupError, TypeError):
        return 0
    return step if type(step) is int else 0


@dataclass(frozen=True)
class ModelFolder:
    """One model and its steps, lowest first; `source` and `tag` name it when it is to be loaded."""

    source: str
    tag: str
    steps: tuple[int, ...]
    path: Path


def list_models(base_dir: Path) -> list[ModelFolder]:
    """Every model below nanochat's base folder, the most useful first, and the built-in one.

    Raises:
        CheckpointNotFoundError: the folder cannot be searched.
    """
    folders: dict[Path, list[Checkpoint]] = {}
    for checkpoint in [*list_checkpoints(base_dir), demo_checkpoint()]:
        folders.setdefault(checkpoint.weights.parent, []).append(checkpoint)
    ordered = sorted(folders.values(), key=lambda of: (PREFERRED.index(of[0].source), -of[0].depth, of[0].tag))
    return [_model_folder(of_folder) for of_folder in ordered]


def _model_folder(checkpoints: list[Checkpoint]) -> ModelFolder:
    first, folder = checkpoints[0], checkpoints[0].weights.parent
    source = str(folder) if first.source == "folder" else first.source
    return ModelFolder(source, first.tag, tuple(sorted(checkpoint.step for checkpoint in checkpoints)), folder)


def default_source(base_dir: Path) -> str | None:
    """The most useful kind of checkpoint in nanochat's base folder; None where there is none.

    Raises:
        CheckpointNotFoundError: the folder cannot be searched.
    """
    found = {checkpoint.source for checkpoint in list_checkpoints(base_dir)}
    return next((source for source in PREFERRED if source in found and source in SOURCES), None)


def list_checkpoints(root: Path) -> list[Checkpoint]:
    """Every checkpoint below a folder in any layout, all steps, in no particular order.

    Raises:
        CheckpointNotFoundError: the folder cannot be searched.
    """
    try:
        return list(_walk(root))
    except OSError as error:
        raise CheckpointNotFoundError(
            f"{root} cannot be searched ({error}): make it readable, or name another folder."
        ) from error


def _walk(root: Path) -> Iterator[Checkpoint]:
    for depth in (*DEPTHS, "*/*/*/") if root.name == "experiments" else DEPTHS:
        for path in root.glob(f"{depth}model_*.pt"):
            checkpoint = _checkpoint_at(path)
            if checkpoint is not None:
                yield checkpoint


def _checkpoint_at(path: Path) -> Checkpoint | None:
    match = WEIGHTS_PATTERN.fullmatch(path.name)
    if not match or not path.is_file():
        return None
    source, tag = _source_and_tag(Path(os.path.abspath(path.parent)))  # not resolve: tags may be links to other names
    return Checkpoint(source, tag, int(match[1]), path, path.with_name(f"meta_{match[1]}.json"))


def _source_and_tag(folder: Path) -> tuple[str, str]:
    for source, name in SOURCES.items():
        if folder.parent.name == name:
            return source, folder.name
    if folder.name in SOURCES:  # [experiments/<name>/]<tag>/<source>
        tag, experiment = folder.parent, folder.parent.parent
        named = experiment.parent.name == "experiments"
        return folder.name, f"{experiment.name}/{tag.name}" if named else tag.name
    return "folder", folder.name


def choose_checkpoint(
    source: str | Path, base_dir: Path, model_tag: str | None = None, step: int | None = None
) -> Checkpoint:
    """The checkpoint that is meant.

    Args:
        source: base, mid, sft, rl, demo, a folder, or a model_<step>.pt. A Path is never one of the names.
        base_dir: nanochat's base folder.
        model_tag: such as "d20", or "<experiment>/<tag>"; None: the largest d<number>, else the newest.
        step: None: the highest.

    Raises:
        CheckpointNotFoundError: nothing fits; the message says what there is.
        SettingInvalidError: a step that is no whole number.
    """
    if step is not None and type(step) is not int:
        raise SettingInvalidError(f"step={step!r}: give a whole number, such as 650, or none for the highest.")
    try:
        if source == "demo":
            found = [demo_checkpoint()]
        else:
            found = _of_source(source, base_dir) if isinstance(source, str) and source in SOURCES else _at(source)
        return _with_step(_with_tag(found, model_tag, source), step)
    except OSError as error:
        raise CheckpointNotFoundError(f"{source} cannot be searched ({error}): name another folder.") from error


def _of_source(source: str, base_dir: Path) -> list[Checkpoint]:
    found = [checkpoint for checkpoint in list_checkpoints(base_dir) if checkpoint.source == source]
    return found or _not_found(f"{source} checkpoint", base_dir)


def _at(place: str | Path) -> list[Checkpoint]:
    root = Path(os.path.abspath(os.path.expanduser(place)))
    if root.is_file():
        checkpoint = _checkpoint_at(root)
        if checkpoint is None:
            raise CheckpointNotFoundError(
                f"{root} is no checkpoint: name a folder that holds one, or a model_<step>.pt."
            )
        return [checkpoint]
    if not root.is_dir():
        raise CheckpointNotFoundError(
            f"There is no folder {str(place)!r}: name one of {', '.join(SOURCES)}, demo, or a folder with a checkpoint."
        )
    if (root / DEMO_WEIGHTS).is_file():
        return [demo_checkpoint(root)]
    found = list_checkpoints(root)
    here = [checkpoint for checkpoint in found if checkpoint.weights.parent == root]
    return here or found or _not_found("checkpoint (model_<step>.pt)", root)


def _not_found(wanted: str, root: Path) -> NoReturn:
    for folder in (root, *root.glob("*/"), *root.glob("*/*/")):  # glob passes over those it may not open
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.scandir(folder).close()
    raise CheckpointNotFoundError(
        f"There is no {wanted} in {root}: train one with nanochat, copy one there, name its folder, or use source demo."
    )


def _with_tag(found: list[Checkpoint], model_tag: str | None, source: str | Path) -> list[Checkpoint]:
    """All steps of the model that is meant."""
    tagged = [c for c in found if model_tag is None or model_tag in (c.tag, c.tag.split("/")[-1])]
    if not tagged:
        tags = ", ".join(sorted({checkpoint.tag for checkpoint in found}))
        raise CheckpointNotFoundError(
            f"There is no model {model_tag!r} in {source}: the tags there are {tags}. To look elsewhere, name another "
            "source (-i or --source)."
        )
    best = min(tagged, key=lambda c: (PREFERRED.index(c.source), -c.depth, -c.weights.parent.stat().st_mtime_ns))
    return [checkpoint for checkpoint in tagged if checkpoint.weights.parent == best.weights.parent]


def _with_step(found: list[Checkpoint], step: int | None) -> Checkpoint:
    if step is None:
        return max(found, key=lambda checkpoint: checkpoint.step)
    for checkpoint in found:
        if checkpoint.step == step:
            return checkpoint
    steps = ", ".join(str(checkpoint.step) for checkpoint in sorted(found, key=lambda checkpoint: checkpoint.step))
    raise CheckpointNotFoundError(f"{found[0].weights.parent} has no step {step}: its steps are {steps}.")
