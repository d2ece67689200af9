"""Which of several checkpoints comes first, and what is said of those that were passed over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nanochat.checkpoints.layouts import Checkpoint

PREFERRED = ("sft", "rl", "mid", "base", "folder", "demo")  # where a folder holds several
NAMED = 5  # models that are named of those passed over


def best_first(found: list[Checkpoint]) -> list[list[Checkpoint]]:
    """Checkpoints by their folders, each with its steps in order: the most useful model first.

    Among those of one source the deepest comes first, then the one trained for more steps, then the newest.
    """
    folders: dict[Path, list[Checkpoint]] = {}
    for checkpoint in found:
        folders.setdefault(checkpoint.weights.parent, []).append(checkpoint)
    for steps in folders.values():
        steps.sort(key=lambda checkpoint: checkpoint.step)

    def place(steps: list[Checkpoint]) -> tuple[int, int, int, int, str]:
        last = steps[-1]
        return PREFERRED.index(last.source), -last.depth, -last.step, -_changed(last.weights.parent), last.tag

    return sorted(folders.values(), key=place)


def _changed(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:  # it went just now
        return 0


def passed_over(others: list[list[Checkpoint]]) -> str:
    """What is said of the models that another was chosen before, each with its steps; "" for none."""
    if not others:
        return ""
    named = [f"{steps[-1].source} {steps[-1].tag} ({_layers(steps[-1].depth)})" for steps in others[:NAMED]]
    more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
    return f"passed over {', '.join(named)}{more}: a tag names another"


def _layers(depth: int) -> str:
    return "layers unknown" if depth < 0 else f"{depth} layer{'s' * (depth != 1)}"
