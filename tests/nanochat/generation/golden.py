"""What tests share that capture with a golden checkpoint: a prompt, and the files that its engine has left."""

from pathlib import Path

from nanochat.interpretability_engine import InterpretabilityEngine

PROMPT = "The capital of France is"


def files_of(engine: InterpretabilityEngine) -> list[Path]:
    """All files of its traces folder."""
    folder = Path(engine.storage.directory)
    return sorted(folder.iterdir()) if folder.exists() else []
