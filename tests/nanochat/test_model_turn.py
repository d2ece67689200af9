"""Two users of one model: threads take turns and get what each would alone; a callback is refused in one sentence."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from nanochat.capture.recorder import Recorder
from nanochat.capture.sites import CaptureSettings
from nanochat.engine import Engine
from nanochat.errors import CancelledError, ModelBusyError
from nanochat.interpretability_engine import InterpretabilityEngine, TokenEvent
from nanochat.model_turn import turn_of
from tests.models import golden_model

PROMPTS = ["The capital of France is", "x", "One two three four five six seven", "é", "In the beginning", "a b c"]
IDS = torch.tensor([[65, 66, 67, 68]])
Use = Callable[[InterpretabilityEngine], Any]


@pytest.fixture
def engine(tmp_path: Path) -> InterpretabilityEngine:
    return InterpretabilityEngine(*golden_model(), tmp_path / "traces")


def recorder_of(engine: InterpretabilityEngine) -> Recorder:
    config, device = engine.model.config, torch.device("cpu")
    return Recorder(config, CaptureSettings(logits=None), 4, 4, device, torch.float32)


def outcome(engine: InterpretabilityEngine, prompt: str) -> tuple[str, dict[str, Any], list[int]]:
    """What one generation gives that does not depend on when it ran; one event a token."""
    said: list[int] = []
    result = engine.generate_and_capture(prompt, max_tokens=12, seed=7, on_token=lambda event: said.append(event.token))
    with engine.storage.open_trace(result["trace_id"]) as trace:
        assert trace.document["tokens"]["output_tokens"] == said
        weights = {name: trace.tensor(name).tobytes() for name in trace.names()}
    assert engine.analyze_trace(result["trace_id"])["analysis"] == result["analysis"]
    return result["response"], weights, said


@pytest.mark.parametrize("engines", [1, 2])
def test_threads_get_what_each_would_get_alone(engine: InterpretabilityEngine, engines: int, tmp_path: Path) -> None:
    second = InterpretabilityEngine(engine.model, engine.tokenizer, tmp_path / "others")
    users = [engine, second][:engines]
    alone = [outcome(engine, prompt) for prompt in PROMPTS]
    plain = list(engine.engine.generate([65, 66], 2, 12, seed=3))
    with torch.inference_mode():
        logits = engine.model(IDS)
    together = threading.Barrier(len(PROMPTS) + 4)

    def capture(number: int) -> Any:
        together.wait()
        return [outcome(users[number % engines], PROMPTS[number]) for _ in range(3)]

    def generate() -> Any:
        together.wait()
        return [list(Engine(engine.model, engine.tokenizer).generate([65, 66], 2, 12, seed=3)) for _ in range(5)]

    @torch.inference_mode()
    def forward() -> Any:
        together.wait()
        return [engine.model(IDS) for _ in range(20)]

    with ThreadPoolExecutor(len(PROMPTS) + 4) as pool:
        captures = [pool.submit(capture, number) for number in range(len(PROMPTS))]
        generations, forwards = ([pool.submit(work) for _ in range(2)] for work in (generate, forward))
        assert [future.result() for future in captures] == [[expected] * 3 for expected in alone]
        assert all(future.result() == [plain] * 5 for future in generations)
        assert all(torch.equal(found, logits) for future in forwards for found in future.result())


def capture_nested(engine: InterpretabilityEngine) -> None:
    with engine.model.capturing(recorder_of(engine)):
        engine.model(IDS)


USES: list[Use] = [
    lambda engine: engine.model(IDS),
    lambda engine: engine.model.forward(IDS, kv_cache=None),
    lambda engine: next(engine.model.generate([65], 1)),
    lambda engine: next(engine.engine.generate([65], max_tokens=1)),
    lambda engine: engine.engine.generate_batch([65], max_tokens=1),
    lambda engine: engine.generate_and_capture("x", max_tokens=1),
    lambda engine: engine.generate_and_capture("x", max_tokens=0),
    lambda engine: InterpretabilityEngine(engine.model, engine.tokenizer, engine.storage).generate_and_capture("x"),
    lambda engine: engine.clear_model_captures(),
    lambda engine: engine.model.attach(None),
    capture_nested,
]


@pytest.mark.parametrize("use", USES)
def test_the_model_is_refused_to_on_token_in_one_sentence(engine: InterpretabilityEngine, use: Use) -> None:
    expected = outcome(engine, PROMPTS[0])

    def use_it(event: TokenEvent) -> None:
        use(engine)

    with pytest.raises(ModelBusyError, match=r"inside its on_token: let on_token return"):
        engine.generate_and_capture(PROMPTS[0], max_tokens=3, on_token=use_it)
    assert outcome(engine, PROMPTS[0]) == expected  # nothing is left of it

    said: list[int] = []

    def use_it_anyway(event: TokenEvent) -> None:
        said.append(event.token)
        with pytest.raises(ModelBusyError):
            use(engine)

    engine.generate_and_capture(PROMPTS[0], max_tokens=12, seed=7, on_token=use_it_anyway)
    assert said == expected[2]


def test_on_token_may_read_what_was_captured_and_use_another_model(engine: InterpretabilityEngine) -> None:
    other = InterpretabilityEngine(*golden_model("A"), engine.storage)
    lengths = []

    def look(event: TokenEvent) -> None:
        weights = engine.model.transformer.h[0].attn.attention_weights
        lengths.append((weights.shape[-1], other.generate_and_capture("x", max_tokens=1)["response_tokens"]))

    result = engine.generate_and_capture("x", max_tokens=3, on_token=look)
    assert lengths == [(result["prompt_tokens"] + i, 1) for i in range(3)]


def test_two_captures_at_once_are_refused(engine: InterpretabilityEngine) -> None:
    recorder = recorder_of(engine)
    with torch.inference_mode(), engine.model.capturing(recorder):
        for use in (capture_nested, USES[5]):
            with pytest.raises(ModelBusyError, match="captured already: end that capture"):
                use(engine)
        engine.model(IDS)
    assert recorder.length == 4


def test_who_waits_for_the_model_can_be_cancelled(engine: InterpretabilityEngine) -> None:
    cancel, begun, ended = threading.Event(), threading.Event(), threading.Event()

    def hold(event: TokenEvent) -> None:
        begun.set()
        assert ended.wait(60)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(engine.generate_and_capture, "x", max_tokens=1, on_token=hold)
        assert begun.wait(60)
        second = pool.submit(engine.generate_and_capture, "x", max_tokens=1, cancel=cancel)
        cancel.set()
        with pytest.raises(CancelledError):
            second.result(60)
        ended.set()
        assert first.result(60)["response_tokens"] == 1


def test_an_error_in_on_token_leaves_the_model_free(engine: InterpretabilityEngine) -> None:
    def fail(event: TokenEvent) -> None:
        raise ZeroDivisionError("the caller's own")

    with pytest.raises(ZeroDivisionError, match="own"):
        engine.generate_and_capture("x", max_tokens=2, on_token=fail)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(outcome, engine, "x").result(60) == outcome(engine, "x")


def test_a_model_and_its_turn_go_together() -> None:
    model, other = golden_model()[0], golden_model()[0]
    assert turn_of(model) is turn_of(model)
    assert turn_of(model) is not turn_of(other)
