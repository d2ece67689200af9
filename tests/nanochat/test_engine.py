"""Generation: what upstream promises, and cancel, chunks, tools and positions besides."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from nanochat.engine import Engine, KVCache
from nanochat.errors import CancelledError, NonFiniteError, PromptInvalidError, PromptTooLongError, SettingInvalidError
from nanochat.gpt import GPT
from tests.models import ERA_NAMES, golden_model, random_model

PROMPT = [291, 72, 105, 32, 116, 104, 101, 114, 101, 46]


class CountingModel:
    """A real model that counts its forwards and the positions they ran over."""

    def __init__(self, model: GPT):
        self.model, self.config, self.compute_dtype = model, model.config, model.compute_dtype
        self.runs: list[int] = []

    def get_device(self) -> torch.device:
        return self.model.get_device()

    def forward(self, ids: torch.Tensor, kv_cache: KVCache | None = None) -> torch.Tensor:
        self.runs.append(ids.size(1))
        return self.model.forward(ids, kv_cache=kv_cache)


class ScriptedModel:
    """Says what it is told to, one row of token ids after another, whatever it is fed; remembers what that was."""

    def __init__(self, model: GPT, script: list[int]):
        self.config, self.script, self.fed = model.config, iter(script), []

    def get_device(self) -> torch.device:
        return torch.device("cpu")

    def forward(self, ids: torch.Tensor, kv_cache: KVCache) -> torch.Tensor:
        self.fed += ids[0].tolist()
        kv_cache.advance(ids.size(1))
        logits = torch.zeros(ids.size(0), 1, self.config.vocab_size)
        logits[..., next(self.script)] = 10.0
        return logits


def open_ended(model: Any, tokenizer: Any) -> Engine:
    engine = Engine(model, tokenizer)
    engine.end_tokens = frozenset()
    return engine


def test_no_forward_is_wasted() -> None:
    model, tokenizer = golden_model()
    counting = CountingModel(model)
    list(open_ended(counting, tokenizer).generate(PROMPT, max_tokens=5))
    assert counting.runs == [len(PROMPT), 1, 1, 1, 1]


def test_no_forward_follows_an_end_token() -> None:
    model, tokenizer = golden_model()
    end = tokenizer.encode_special("<|assistant_end|>")
    scripted = ScriptedModel(model, [65, end])
    assert [tokens for tokens, _ in Engine(scripted, tokenizer).generate(PROMPT, max_tokens=9, temperature=0.0)] == [
        [65],
        [end],
    ]


def test_max_tokens_of_zero_runs_the_prompt_alone() -> None:
    model, tokenizer = golden_model()
    counting = CountingModel(model)
    assert list(Engine(counting, tokenizer).generate(PROMPT, max_tokens=0)) == []
    assert counting.runs == [len(PROMPT)]


@pytest.mark.parametrize("era", ERA_NAMES)
def test_prompts_in_chunks_give_the_same_tokens(era: str) -> None:
    model, tokenizer = golden_model(era)
    engine = open_ended(model, tokenizer)
    whole = [tokens for tokens, _ in engine.generate(PROMPT * 3, max_tokens=20, temperature=0.0)]
    for chunk in (1, 7):
        engine.prefill_chunk = chunk
        assert [tokens for tokens, _ in engine.generate(PROMPT * 3, max_tokens=20, temperature=0.0)] == whole


def test_rows_share_the_prompt_and_differ_after_it() -> None:
    model, tokenizer = golden_model()
    rows, masks = open_ended(model, tokenizer).generate_batch(PROMPT, num_samples=4, max_tokens=12, temperature=1.0)
    assert all(row[: len(PROMPT)] == PROMPT and len(row) == len(PROMPT) + 12 for row in rows)
    assert len({tuple(row) for row in rows}) > 1
    assert masks == [[0] * len(PROMPT) + [1] * 12] * 4


def test_greedy_rows_are_the_single_row_repeated() -> None:
    model, tokenizer = golden_model()
    engine = open_ended(model, tokenizer)
    single, _ = engine.generate_batch(PROMPT, max_tokens=15, temperature=0.0)
    several, _ = engine.generate_batch(PROMPT, num_samples=3, max_tokens=15, temperature=0.0)
    assert several == single * 3


def test_the_same_seed_gives_the_same_tokens() -> None:
    model, tokenizer = golden_model()
    engine = open_ended(model, tokenizer)
    runs = [engine.generate_batch(PROMPT, max_tokens=12, temperature=1.0, seed=seed)[0] for seed in (1, 1, 2, 3)]
    assert runs[0] == runs[1]
    assert len({tuple(run[0]) for run in runs}) > 1


def test_cached_tokens_are_those_without_a_cache() -> None:
    model, tokenizer = golden_model()
    for top_k, temperature in ((None, 1.0), (5, 0.7), (None, 0.0)):
        cached = [t[0] for t, _ in open_ended(model, tokenizer).generate(PROMPT, 1, 16, temperature, top_k, seed=11)]
        assert cached == list(model.generate(PROMPT, 16, temperature, top_k, seed=11))


def test_a_prompt_of_one_token_and_without_a_cache() -> None:
    model, tokenizer = golden_model()
    assert list(model.generate([291], 4, temperature=0.0)) == [
        t[0] for t, _ in open_ended(model, tokenizer).generate([291], max_tokens=4, temperature=0.0)
    ]


def called_with(expression: str, tokenizer: Any) -> list[int]:
    special = tokenizer.encode_special
    return [special("<|python_start|>"), *tokenizer.encode(expression), special("<|python_end|>")]


def test_the_calculator_answers_off_the_main_thread() -> None:
    model, tokenizer = golden_model()
    call = called_with("12*(3+4)", tokenizer)
    answer = [
        tokenizer.encode_special("<|output_start|>"),
        *tokenizer.encode("84"),
        tokenizer.encode_special("<|output_end|>"),
    ]
    # While tokens are forced, what the model says is not taken: any token will do.
    scripted = ScriptedModel(model, [*call, *([65] * len(answer)), 66, 67])
    outcome: list[tuple[list[int], list[int]]] = []

    def work() -> None:
        engine = open_ended(scripted, tokenizer)
        outcome.extend(engine.generate(PROMPT, max_tokens=len(call) + len(answer) + 2, temperature=0.0))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [tokens[0] for tokens, _ in outcome] == [*call, *answer, 66, 67]
    assert [masks[0] for _, masks in outcome] == [1] * len(call) + [0] * len(answer) + [1, 1]
    assert scripted.fed[len(PROMPT) :] == [*call, *answer, 66]


@pytest.mark.parametrize(
    "expression",
    [
        "9**9**9",
        "(1).from_bytes('.count('.zfill(9999).encode())",  # a number that Python does not spell out
        "'.count('.center(2000000)",
    ],
)
def test_what_the_calculator_cannot_do_forces_nothing(expression: str) -> None:
    model, tokenizer = golden_model()
    call = called_with(expression, tokenizer)
    outcome = list(
        open_ended(ScriptedModel(model, [*call, 65]), tokenizer).generate(
            PROMPT, max_tokens=len(call) + 1, temperature=0.0
        )
    )
    assert [tokens[0] for tokens, _ in outcome] == [*call, 65]


def test_cancel_stops_before_the_next_forward() -> None:
    model, tokenizer = golden_model()
    counting, cancel = CountingModel(model), threading.Event()
    seen = 0

    def consume(stream: Iterator[Any]) -> None:
        nonlocal seen
        for seen, _ in enumerate(stream, 1):
            if seen == 3:
                cancel.set()

    with pytest.raises(CancelledError):
        consume(open_ended(counting, tokenizer).generate(PROMPT, max_tokens=50, cancel=cancel))
    assert seen == 3
    assert len(counting.runs) == 3


def test_cancel_stops_between_chunks_of_the_prompt() -> None:
    model, tokenizer = golden_model()
    counting, cancel = CountingModel(model), threading.Event()
    cancel.set()
    with pytest.raises(CancelledError):
        list(Engine(counting, tokenizer).generate(PROMPT, max_tokens=5, cancel=cancel))
    assert counting.runs == []


def test_generation_ends_where_the_rotary_tables_do() -> None:
    model = random_model("A", sequence_len=3)  # 30 positions
    _, tokenizer = golden_model("A")
    engine = open_ended(model, tokenizer)
    assert len(list(engine.generate(PROMPT, max_tokens=100))) == 30 - len(PROMPT) + 1  # the last is never fed back
    with pytest.raises(PromptTooLongError, match="31 tokens and the model has positions for 30"):
        next(engine.generate(PROMPT * 3 + [1], max_tokens=1))


@pytest.mark.parametrize("prompt", [[], ["a"], None])
def test_a_prompt_that_is_no_list_of_tokens(prompt: Any) -> None:
    model, tokenizer = golden_model()
    with pytest.raises(PromptInvalidError):
        next(Engine(model, tokenizer).generate(prompt, max_tokens=1))


def test_nan_in_the_model_is_an_error_and_not_a_token() -> None:
    model = random_model("F")
    _, tokenizer = golden_model("F")
    with torch.no_grad():
        model.transformer.h[1].mlp.c_fc.weight[3, 3] = torch.nan
    for temperature in (0.0, 1.0):
        with pytest.raises(NonFiniteError, match=f"position {len(PROMPT) - 1}"):
            list(Engine(model, tokenizer).generate(PROMPT, max_tokens=4, temperature=temperature))


def test_a_cache_whose_rows_differ_has_no_one_position() -> None:
    cache = KVCache(2, 1, 8, 4, 1, "cpu", torch.float32)
    cache.advance(3)
    assert cache.get_pos() == 3
    cache.positions[1] = 5
    with pytest.raises(ValueError, match="different positions"):
        cache.get_pos()
    cache.reset()
    assert cache.get_pos() == 0


def test_a_generation_that_does_not_fit_in_memory_says_what_to_do() -> None:
    _, tokenizer = golden_model()
    model = random_model(sequence_len=100_000_000_000, n_layer=100)
    with pytest.raises(SettingInvalidError, match=r"not enough memory on cpu for this generation: lower max_tokens"):
        next(Engine(model, tokenizer).generate(PROMPT, max_tokens=100_000_000_000))


def test_other_errors_of_a_generation_are_not_taken_for_too_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = golden_model()

    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr(model, "forward", fail)
    with pytest.raises(RuntimeError, match="something else"):
        next(Engine(model, tokenizer).generate(PROMPT, max_tokens=3))
