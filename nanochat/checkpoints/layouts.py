"""Where checkpoints lie: every folder layout nanochat has had, and which one is meant."""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NoReturn

from nanochat.checkpoints.order import PREFERRED, best_first, passed_over
from nanochat.checkpoints.recognising import is_model_json, nearest_tokenizer, others_in, recorded_layers
from nanochat.errors import CheckpointNotFoundError, SettingInvalidError, TokenizerInvalidError

# Source name to the folder that holds its checkpoints, the most trained first.
SOURCES = {
    "rl": "chatrl_checkpoints",
    "sft": "chatsft_checkpoints",
    "mid": "mid_checkpoints",
    "base": "base_checkpoints",
}
DEMO_FOLDER = Path(__file__).parent.parent / "demo_model"
DEMO_WEIGHTS, DEMO_META = "model.safetensors", "model.json"
# Below a folder: itself, <tag>, <source>_checkpoints/<tag>, <tag>/<source>, experiments/<name>/<tag>/<source>.
DEPTHS = ("", "*/", "*/*/", "experiments/*/*/*/")
WEIGHTS_PATTERN = re.compile(r"model_(\d+)\.pt$")


@dataclass(frozen=True)
class Checkpoint:
    """One training step's files."""

    source: str
    tag: str
    step: int
    weights: Path
    meta: Path
    choice: str = field(default="", compare=False)  # what was passed over for it, "" where there was no other

    @property
    def names(self) -> tuple[str, str]:
        """What it may be asked for by: <experiment>/<tag>, and the tag."""
        return self.tag, self.tag.split("/")[-1]

    @cached_property
    def depth(self) -> int:
        """The layers that the metadata tell, else the number in a tag d<number>, else -1."""
        match = re.fullmatch(r"d(\d{1,9})", self.names[1])
        return recorded_layers(self.meta) or (int(match[1]) if match else -1)

    def tokenizer_folder(self, base_dir: Path) -> Path | None:
        """The folder of `tokenizer_file`."""
        found = self.tokenizer_file(base_dir)[0]
        return found and found.parent

    def tokenizer_file(self, base_dir: Path) -> tuple[Path | None, str]:
        """The nearest tokenizer: beside the weights, above them, else the base folder's.

        Returns:
            It, and what was passed over on the way to it because it is another program's, "" if nothing. Where there
            is no other, one that is another program's is given, so that reading it says what it is.

        Raises:
            TokenizerInvalidError: a folder where it might be cannot be searched.
        """
        above = [self.weights.parent, *list(self.weights.parent.parents)[:3], base_dir]
        try:
            return nearest_tokenizer(place for root in above for place in (root, root / "tokenizer"))
        except OSError as error:
            raise TokenizerInvalidError(
                f"The tokenizer of {self.weights} cannot be looked for ({error}): make that folder readable."
            ) from error


def demo_checkpoint(folder: Path | None = None) -> Checkpoint:
    """The built-in model, or one trained anew by the same script in another folder."""
    tag, folder = ("demo", DEMO_FOLDER) if folder is None else (folder.name, folder)
    meta = folder / DEMO_META
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
    return [_model_folder(steps) for steps in [*best_first(list_checkpoints(base_dir)), [demo_checkpoint()]]]


def _model_folder(steps: list[Checkpoint]) -> ModelFolder:
    first, folder = steps[0], steps[0].weights.parent
    source = first.source if first.source in SOURCES or folder == DEMO_FOLDER else str(folder)
    return ModelFolder(source, first.tag, tuple(checkpoint.step for checkpoint in steps), folder)


def default_source(base_dir: Path, model_tag: str | None = None) -> str | None:
    """Where the most useful checkpoint in nanochat's base folder is: a source's name, or the base folder itself for one
    that lies there in no source's folder; None where there is none.

    Args:
        base_dir: nanochat's base folder.
        model_tag: of a model that has this tag, if any has.

    Raises:
        CheckpointNotFoundError: the folder cannot be searched.
    """
    found = list_checkpoints(base_dir)
    of_tag = {checkpoint.source for checkpoint in found if model_tag in checkpoint.names}
    sources = of_tag or {checkpoint.source for checkpoint in found}
    best = next((source for source in PREFERRED if source in sources), None)
    return best if best is None or best in SOURCES else str(base_dir)


def chosen_source(
    source: str | None, base_dir: Path, model_tag: str | None = None, step: int | None = None
) -> tuple[str, str | None]:
    """A source to load from where none may be named, and a note where the built-in model stands in for it.

    Raises:
        CheckpointNotFoundError: the base folder cannot be searched.
    """
    source = source or default_source(base_dir, model_tag)
    if source is not None:
        return source, None
    if model_tag is not None or step is not None:  # a wish for one checkpoint: say that it is not there
        return "sft", None
    return "demo", f"The built-in demo model: there is no nanochat checkpoint in {base_dir}."


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
        taken: set[Path] = set()
        for path in root.glob(f"{depth}model_*.pt"):
            checkpoint = _checkpoint_at(path)
            if checkpoint is not None:
                taken.add(path.parent)
                yield checkpoint
        for path in root.glob(f"{depth}{DEMO_WEIGHTS}"):
            if path.parent not in taken and is_model_json(path.with_name(DEMO_META)):
                yield demo_checkpoint(path.parent)


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
        model_tag: such as "d20", or "<experiment>/<tag>"; None: the one with most layers, of those the one trained for
            most steps, of those the newest.
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
    found = list_checkpoints(root)
    here = [checkpoint for checkpoint in found if checkpoint.weights.parent == root]
    return here or found or _not_found("checkpoint (model_<step>.pt)", root)


def _not_found(wanted: str, root: Path) -> NoReturn:
    for folder in (root, *root.glob("*/"), *root.glob("*/*/")):  # glob passes over those it may not open
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.scandir(folder).close()
    raise CheckpointNotFoundError(
        f"There is no {wanted} in {root}: train one with nanochat, copy one there, name its folder, or use source demo."
        f"{others_in(root)}"
    )


def _with_tag(found: list[Checkpoint], model_tag: str | None, source: str | Path) -> list[Checkpoint]:
    """All steps of the model that is meant."""
    tagged = [checkpoint for checkpoint in found if model_tag is None or model_tag in checkpoint.names]
    if not tagged:
        tags = ", ".join(sorted({checkpoint.tag for checkpoint in found}))
        raise CheckpointNotFoundError(
            f"There is no model {model_tag!r} in {source}: the tags there are {tags}. To look elsewhere, name another "
            "source (-i or --source)."
        )
    best, *others = best_first(tagged)
    return [replace(checkpoint, choice=passed_over(others)) for checkpoint in best]


def _with_step(found: list[Checkpoint], step: int | None) -> Checkpoint:
    if step is None:
        return max(found, key=lambda checkpoint: checkpoint.step)
    for checkpoint in found:
        if checkpoint.step == step:
            return checkpoint
    steps = ", ".join(str(checkpoint.step) for checkpoint in sorted(found, key=lambda checkpoint: checkpoint.step))
    raise CheckpointNotFoundError(f"{found[0].weights.parent} has no step {step}: its steps are {steps}.")
