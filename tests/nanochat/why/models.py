"""The models that questions are put to in tests: every golden checkpoint, every era at random, the built-in one."""

from functools import cache

import numpy as np

from nanochat.checkpoint_manager import load_model
from nanochat.gpt import GPT
from tests.models import ERA_NAMES, GOLDEN, random_model

CASES = sorted(path.parent.relative_to(GOLDEN).as_posix() for path in GOLDEN.glob("*/*/golden.npz"))
EVERY = [*CASES, *ERA_NAMES, "demo"]


@cache
def model_of(case: str) -> tuple[GPT, tuple[int, ...]]:
    """A model, and a text for it."""
    if case == "demo":
        model, tokenizer, _ = load_model("demo", "cpu", "eval")
        return model, tuple(tokenizer.encode("The capital of France is", prepend=tokenizer.get_bos_token_id()))
    if "/" not in case:
        return random_model(case), tuple(range(7, 47))
    model, _, _ = load_model(GOLDEN / case, "cpu", "eval", era="D" if case.startswith("D/") else None, dtype="float32")
    return model, tuple(np.load(GOLDEN / case / "golden.npz")["tokens"].tolist())
