"""The text of tokens as they come: characters whole, the end without its token, the response when put together."""

from pathlib import Path

import pytest

from daemon.generation_progress import TextStream
from nanochat.interpretability_engine import InterpretabilityEngine, TokenEvent
from nanochat.tokenizer import RustBPETokenizer
from tests.models import golden_model


@pytest.fixture(scope="module")
def engine() -> InterpretabilityEngine:
    return InterpretabilityEngine(*golden_model())


def texts(engine: InterpretabilityEngine, tokens: list[int], max_tokens: int = 99, first: int = 4) -> list[str]:
    stream = TextStream(engine, max_tokens)
    return [stream.text_of(TokenEvent(token, "", first + i, False, None)) for i, token in enumerate(tokens)]


def as_bytes(tokenizer: RustBPETokenizer, text: str) -> list[int]:
    """A token for each byte."""
    return [tokenizer.enc.encode_single_token(bytes([value])) for value in text.encode()]


@pytest.mark.parametrize("text", ["plain", "naïve", "漢字", "a🙂b", "e\u0301"])
def test_a_character_comes_with_its_last_byte(engine: InterpretabilityEngine, text: str) -> None:
    said = texts(engine, as_bytes(engine.tokenizer, text))
    assert "".join(said) == text
    expected = [part for character in text for part in [""] * (len(character.encode()) - 1) + [character]]
    assert said == expected


def test_special_tokens_in_the_text_are_shown_and_the_one_that_ends_it_is_not(engine: InterpretabilityEngine) -> None:
    special = engine.tokenizer.encode_special
    tokens = [special("<|python_start|>"), *as_bytes(engine.tokenizer, "1"), special("<|assistant_end|>")]
    assert texts(engine, tokens) == ["<|python_start|>", "1", ""]


def test_half_a_character_at_the_end_is_shown_as_the_response_has_it(engine: InterpretabilityEngine) -> None:
    half = as_bytes(engine.tokenizer, "🙂")[:2]
    end = engine.tokenizer.encode_special("<|assistant_end|>")
    response = engine.tokenizer.decode(half)
    assert response == "\ufffd"
    assert texts(engine, [*half, end]) == ["", "", response]
    assert texts(engine, half, max_tokens=2) == ["", response]
    positions = engine.model.config.max_positions
    assert texts(engine, half, first=positions - 1) == ["", response]  # the context is full


def test_the_last_position_is_where_the_engine_stops(engine: InterpretabilityEngine, tmp_path: Path) -> None:
    writing = InterpretabilityEngine(engine.model, engine.tokenizer, tmp_path / "traces")
    positions = engine.model.config.max_positions
    events: list[TokenEvent] = []
    writing.generate_and_capture(
        "x" * (positions - 4), max_tokens=50, capture={"layers": [], "logits": None}, on_token=events.append
    )
    assert len(events) == 4  # <|bos|> takes a position; the last token needs none
    assert events[-1].position == positions
