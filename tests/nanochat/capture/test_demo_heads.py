"""What the built-in model does without some of its heads: copying and recalling are different heads' work."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from nanochat.checkpoint_manager import load_model
from nanochat.gpt import GPT
from scripts.demo_training.corpus import encode
from scripts.demo_training.evaluation import fact_exercises

DRAWS, LENGTH = 10, 25


@cache
def demo() -> tuple[GPT, Any]:
    model, tokenizer, _ = load_model("demo", "cpu", "eval")
    return model, tokenizer


@torch.inference_mode()
def copied() -> float:
    """Of random tokens that come twice, the share whose repeat is foretold, from the second repeated one on."""
    model, tokenizer = demo()
    ordinary = tokenizer.get_vocab_size() - len(tokenizer.get_special_tokens())
    random = np.random.default_rng(0)
    rows = [random.choice(ordinary, LENGTH, replace=False).tolist() * 2 for _ in range(DRAWS)]
    ids = torch.tensor([[tokenizer.get_bos_token_id(), *row] for row in rows])
    foretold = model(ids).argmax(-1)[:, LENGTH + 1 : -1]
    return float((foretold == ids[:, LENGTH + 2 :]).double().mean())


@torch.inference_mode()
def capitals() -> float:
    """The share of capitals whose first token is the likeliest after "The capital of X is"."""
    model, tokenizer = demo()
    right, exercises = 0, fact_exercises("capital", "plain")
    prompts = [encode(tokenizer, exercise.prompt)[0] for exercise in exercises]
    longest = max(map(len, prompts))
    logits = model(torch.tensor([prompt + [0] * (longest - len(prompt)) for prompt in prompts]))
    for row, (exercise, prompt) in enumerate(zip(exercises, prompts, strict=True)):
        right += int(logits[row, len(prompt) - 1].argmax()) == encode(tokenizer, exercise.expected)[0][0]
    return right / len(exercises)


@pytest.mark.parametrize(
    ("layer", "heads", "copies", "recalls"),
    [(3, [1, 2, 3], 0.0, 0.62), (2, [0], 0.75, 1.0), (3, [2], 0.97, 0.82), (0, [0], 1.0, 1.0)],
    ids=["three induction heads", "the previous-token head", "one induction head", "a head of the first layer"],
)
def test_without_heads_it_copies_and_recalls_so_much(
    layer: int, heads: list[int], copies: float, recalls: float
) -> None:
    model, _ = demo()
    assert copied() == capitals() == 1.0
    with model.editing([{"op": "zero", "site": "head_output", "layer": layer, "heads": heads}]):
        assert copied() == pytest.approx(copies, abs=0.02)
        assert capitals() == pytest.approx(recalls, abs=0.02)
    assert copied() == 1.0


def test_attending_to_the_first_token_alone_is_no_copying() -> None:
    model, _ = demo()
    first_alone = {"op": "set", "site": "attention_weights", "layer": 3, "heads": [1, 2, 3], "value": [1.0]}
    with model.editing([first_alone]):
        assert copied() < 0.05
