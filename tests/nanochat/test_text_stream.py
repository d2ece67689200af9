"""The text of tokens as they come: characters whole, the end without its token, the response when put together."""

import pytest

from nanochat.text_stream import TextStream, whole_characters
from nanochat.tokenizer import RustBPETokenizer
from tests.models import golden_model


@pytest.fixture(scope="module")
def tokenizer() -> RustBPETokenizer:
    return golden_model()[1]


def texts(tokenizer: RustBPETokenizer, tokens: list[int], *, cut: bool = False) -> list[str]:
    """As told; `cut`: there is room for no more after them."""
    stream = TextStream(tokenizer, {tokenizer.encode_special("<|assistant_end|>"), tokenizer.get_bos_token_id()})
    return [stream.add(token, last=cut and i == len(tokens) - 1) for i, token in enumerate(tokens)]


def as_bytes(tokenizer: RustBPETokenizer, text: str) -> list[int]:
    """A token for each byte."""
    return [tokenizer.enc.encode_single_token(bytes([value])) for value in text.encode()]


@pytest.mark.parametrize("text", ["plain", "naïve", "漢字", "a🙂b", "e\u0301", r"\xf0 is text"])
def test_a_character_comes_with_its_last_byte(tokenizer: RustBPETokenizer, text: str) -> None:
    tokens = as_bytes(tokenizer, text)
    said = texts(tokenizer, tokens)
    assert said == [part for character in text for part in [""] * (len(character.encode()) - 1) + [character]]
    assert whole_characters([tokenizer.token_text(token) for token in tokens], text) == said


def test_special_tokens_in_the_text_are_shown_and_the_one_that_ends_it_is_not(tokenizer: RustBPETokenizer) -> None:
    special = tokenizer.encode_special
    tokens = [special("<|python_start|>"), *as_bytes(tokenizer, "1"), special("<|assistant_end|>")]
    assert texts(tokenizer, tokens) == ["<|python_start|>", "1", ""]


def test_half_a_character_is_shown_as_the_response_has_it(tokenizer: RustBPETokenizer) -> None:
    half = as_bytes(tokenizer, "🙂")[:2]
    end, other = tokenizer.encode_special("<|assistant_end|>"), as_bytes(tokenizer, "a")
    assert tokenizer.decode(half) == "\ufffd"
    assert texts(tokenizer, [*half, end]) == ["", "", "\ufffd"]
    assert texts(tokenizer, half, cut=True) == ["", "\ufffd"]
    assert texts(tokenizer, [*half, *other]) == ["", "", "\ufffda"]
    spelled = [tokenizer.token_text(token) for token in [*half, *other, *half]]
    assert whole_characters(spelled, "\ufffda\ufffd") == ["", "", "\ufffda", "", "\ufffd"]


def test_token_texts_that_do_not_make_up_the_response_stay_as_they_are() -> None:
    assert whole_characters(["\\xf0", "b"], "another text") == ["\\xf0", "b"]
    assert whole_characters(["\\xf0\\x9f", " ab"], "\\xf0\\x9f ab") == ["\\xf0\\x9f", " ab"]  # written so
    assert whole_characters([], "") == []
