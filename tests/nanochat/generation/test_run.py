"""One generation as it goes: its tokens as they come, their text, alternatives and times."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from nanochat.engine import Step
from nanochat.interpretability_engine import InterpretabilityEngine, TokenEvent
from tests.models import write_tokens
from tests.nanochat.generation.golden import PROMPT


def test_tokens_are_reported_as_they_come(engine: InterpretabilityEngine) -> None:
    events: list[TokenEvent] = []
    result = engine.generate_and_capture(PROMPT, max_tokens=4, on_token=events.append)
    with engine.storage.open_trace(result["trace_id"]) as trace:
        assert [event.token for event in events] == trace.document["tokens"]["output_tokens"]
    assert [event.position for event in events] == [result["prompt_tokens"] + i for i in range(4)]
    assert [event.surprisal for event in events] == pytest.approx(
        result["analysis"]["logits"]["surprisal_per_token"], rel=1e-6
    )


@pytest.mark.parametrize(
    ("text", "cut", "end"),
    [
        ("plain", 0, None),
        ("naïve 漢字", 0, None),
        ("a🙂b", 0, "<|assistant_end|>"),
        ("e\u0301🙂", 1, None),  # the last character never gets whole
        ("🙂🙂", 2, "<|bos|>"),
        ("<|python_start|> is text here", 0, None),
    ],
)
@pytest.mark.parametrize("format", ["json", "safetensors"])
def test_the_text_of_a_token_is_whole_characters(
    engine: InterpretabilityEngine, monkeypatch: pytest.MonkeyPatch, text: str, cut: int, end: str | None, format: str
) -> None:
    written = text.encode()[: len(text.encode()) - cut]
    ids = [engine.tokenizer.enc.encode_single_token(bytes([value])) for value in written]
    ids += [] if end is None else [engine.tokenizer.encode_special(end)]
    write_tokens(monkeypatch, ids)
    events: list[TokenEvent] = []
    result = engine.generate_and_capture(PROMPT, max_tokens=len(ids), on_token=events.append, format=format)
    said = [event.text for event in events]
    assert [event.token for event in events] == ids
    assert "".join(said) == result["response"] == written.decode("utf-8", "replace")
    expected = [part for character in text for part in [""] * (len(character.encode()) - 1) + [character]]
    if cut:
        expected = [*expected[: len(written)]]
        expected[-1:] = ["\ufffd"] if end is None else [""]
    assert said == expected + ([] if end is None else ["\ufffd" if cut else ""])


def test_half_a_character_where_the_context_is_full_is_told_with_the_last_token(
    engine: InterpretabilityEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [engine.tokenizer.enc.encode_single_token(bytes([value])) for value in "🙂".encode()[:3]]
    write_tokens(monkeypatch, ids)
    prompt = "x" * (engine.model.config.max_positions - 3)  # <|bos|> takes a position; the last token needs none
    said: list[str] = []
    result = engine.generate_and_capture(
        prompt, max_tokens=50, capture={"layers": [], "logits": None}, on_token=lambda event: said.append(event.text)
    )
    assert said == ["", "", "\ufffd"]
    assert result["response"] == "\ufffd"


def test_the_times_are_the_models_own(engine: InterpretabilityEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    steps = engine.engine.steps

    def pass_time(seconds: float) -> None:
        nonlocal now
        now += seconds

    def slow_steps(*args: Any) -> Iterator[Step]:
        for step in steps(*args):
            pass_time(2.0)
            yield step

    for module in ("interpretability_engine", "generation.run"):
        monkeypatch.setattr(f"nanochat.{module}.time", SimpleNamespace(perf_counter=lambda: now))
    monkeypatch.setattr(engine.engine, "steps", slow_steps)
    result = engine.generate_and_capture(PROMPT, max_tokens=4, on_token=lambda event: pass_time(50.0))
    timings = result["timings"]
    assert (timings["prefill_seconds"], timings["decode_seconds"], timings["tokens_per_second"]) == (2.0, 6.0, 0.5)


def test_a_tokens_alternatives_are_those_of_the_analysis(engine: InterpretabilityEngine) -> None:
    tops: list[list[dict[str, Any]]] = []
    result = engine.generate_and_capture(PROMPT, max_tokens=4, on_token=lambda event: tops.append(event.top))
    for top, expected in zip(tops, result["analysis"]["logits"]["top_tokens_per_position"], strict=True):
        assert [row["token"] for row in top] == [row["token"] for row in expected]
        assert [row["text"] for row in top] == [row["text"] for row in expected]
        assert [row["probability"] for row in top] == pytest.approx([row["probability"] for row in expected])
    assert len(tops[0]) == 5


def test_alternatives_nobody_asks_for_are_not_computed(
    engine: InterpretabilityEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("nanochat.generation.run.top_tokens", lambda *_: asked.append(1))
    events: list[TokenEvent] = []
    engine.generate_and_capture(PROMPT, max_tokens=2, on_token=events.append)
    assert not asked
    assert events[0].top is None and len(asked) == 1
