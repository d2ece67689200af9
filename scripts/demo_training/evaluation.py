"""What the demo model knows and what its heads do: exact answers, previous-token and induction scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from random import Random

import numpy as np
import torch

from nanochat.analysis import model_head_scores
from nanochat.capture.recorder import Recorder
from nanochat.capture.sites import CaptureSettings
from nanochat.gpt import GPT
from nanochat.tokenizer import RustBPETokenizer
from scripts.demo_training.corpus import (
    OPERATIONS,
    RELATIONS,
    Document,
    Piece,
    calculation,
    chat,
    continuation,
    encode,
    plain,
    sentence,
    small_sums,
    story,
)

BOS = Piece("<|bos|>", special=True)
FORMS = ("plain", "chat")


@dataclass(frozen=True)
class Exercise:
    """A prompt, and the one right continuation up to its stop token; `name` is how a report calls it."""

    name: str
    prompt: Document
    expected: Document


@dataclass(frozen=True)
class Recall:
    """How many exercises the model completes exactly by greedy choice, and the names of the others."""

    exact: int
    total: int
    missed: tuple[str, ...]


def fact_exercises(relation_name: str, form: str) -> list[Exercise]:
    """Every fact of a relation, to be completed as plain text or answered in a chat."""
    relation = RELATIONS[relation_name]
    found = []
    for subject in relation.table:
        if form == "plain":
            expected = [Piece(continuation(relation, subject)), BOS]
            found.append(Exercise(subject, plain(relation.prompt.format(s=subject)), expected))
        else:
            document = chat(relation.question.format(s=subject), Piece(sentence(relation, subject)))
            found.append(Exercise(subject, document[:-2], document[-2:]))
    return found


def sum_exercises() -> list[Exercise]:
    """Every small sum, as `12 + 7 =`."""
    found = []
    for left, operator, right in small_sums():
        prompt = f"{left} {operator} {right} ="
        result = OPERATIONS[operator][1](left, right)
        found.append(Exercise(prompt, plain(prompt), [Piece(f" {result}."), BOS]))
    return found


def story_exercises(count: int = 200, seed: int = 1_000_003) -> list[Exercise]:
    """Stories of two names, cut before the last: nearly all of them are new to the model."""
    found = []
    for _ in range(count):
        text = story(Random(seed + len(found)))[-1].text
        start, _, name = text.rpartition(" ")
        found.append(Exercise(text, plain(start), [Piece(f" {name}"), BOS]))
    return found


def calculator_exercises(count: int = 200, seed: int = 2_000_003) -> list[Exercise]:
    """Questions for the calculator, up to the end of the call: nearly all of them are new to the model."""
    random, found = Random(seed), []
    for _ in range(count):
        left, right = sorted((random.randint(0, 999), random.randint(0, 999)), reverse=True)
        operator = random.choice(list(OPERATIONS))
        question = f"What is {left} {operator} {right}?"
        document = calculation(question, left, operator, right)
        call = next(i for i, piece in enumerate(document) if piece.text == "<|python_start|>")
        found.append(Exercise(question, document[:call], document[call : call + 3]))
    return found


@torch.inference_mode()
def recall(model: GPT, tokenizer: RustBPETokenizer, exercises: Iterable[Exercise]) -> Recall:
    """Count the exercises whose greedy continuation is exactly the expected one, the stop token included.

    Greedy decoding writes the expected tokens if and only if each of them is the likeliest after those before it, so
    one forward over prompt and expected answer decides it.
    """
    exercises = list(exercises)
    prompts = [encode(tokenizer, exercise.prompt)[0] for exercise in exercises]
    answers = [encode(tokenizer, exercise.expected)[0] for exercise in exercises]
    longest = max(len(prompt) + len(answer) for prompt, answer in zip(prompts, answers, strict=True))
    rows = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
    padded = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=model.get_device())
    choices = model(padded).argmax(-1).tolist()
    missed = [
        exercise.name
        for exercise, prompt, answer, chosen in zip(exercises, prompts, answers, choices, strict=True)
        if chosen[len(prompt) - 1 : len(prompt) + len(answer) - 1] != answer
    ]
    return Recall(len(exercises) - len(missed), len(exercises), tuple(missed))


def recall_of_everything(model: GPT, tokenizer: RustBPETokenizer) -> dict[str, Recall]:
    """Recall by name: each relation in each form, then stories and the calculator."""
    found = {
        f"{name}, {form}": recall(model, tokenizer, fact_exercises(name, form)) for name in RELATIONS for form in FORMS
    }
    found["small sums"] = recall(model, tokenizer, sum_exercises())
    found["story"] = recall(model, tokenizer, story_exercises())
    found["calculator"] = recall(model, tokenizer, calculator_exercises())
    return found


@torch.inference_mode()
def attention_of(model: GPT, ids: list[int]) -> list[np.ndarray]:
    """Per layer, the attention weights of one sequence, (1, n_head, S, S)."""
    settings = CaptureSettings(sites=("attention_weights",), logits=None)
    recorder = Recorder(model.config, settings, len(ids), len(ids), model.get_device(), model.dtype)
    with model.capturing(recorder):
        model(torch.tensor([ids], device=model.get_device()))
    weights = recorder.tensors(0)
    return [weights[f"attention_weights.layer_{layer}"].numpy() for layer in range(model.config.n_layer)]


def head_scores(model: GPT, tokenizer: RustBPETokenizer, draws: int = 10) -> dict[str, np.ndarray]:
    """Scores "induction" and "previous_token" of every head on BOS and 25 random tokens twice: (n_layer, n_head)."""
    ordinary = range(tokenizer.get_vocab_size() - len(tokenizer.get_special_tokens()))
    return model_head_scores(partial(attention_of, model), tokenizer.get_bos_token_id(), ordinary, draws=draws)


def best_head(scores: np.ndarray) -> tuple[int, int, float]:
    """Layer, head and score of the highest."""
    layer, head = divmod(int(scores.argmax()), scores.shape[1])
    return layer, head, float(scores[layer, head])
