"""Prompts and chats as token ids, and what cannot be one; the rest is in faults/test_bad_input.py."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat.errors import PromptInvalidError, PromptTooLongError
from nanochat.prompts import prompt_tokens
from nanochat.tokenizer import RustBPETokenizer
from tests.models import golden_model


@pytest.fixture(scope="module")
def tokenizer() -> RustBPETokenizer:
    return golden_model()[1]


def test_the_longest_token_is_an_ordinary_one(tokenizer: RustBPETokenizer) -> None:
    special = tokenizer.get_special_tokens()
    lengths = [len(tokenizer.decode_single_token_bytes(i)) for i in range(tokenizer.get_vocab_size())]
    assert max(lengths) == max(map(len, special)) > tokenizer.longest_token
    assert tokenizer.longest_token in lengths


@given(st.text(max_size=30) | st.sampled_from(["the capital", " the"]).map(lambda text: text * 6))
def test_exactly_what_fits_is_taken(tokenizer: RustBPETokenizer, text: str) -> None:
    tokens = [tokenizer.get_bos_token_id(), *tokenizer.encode(text)]
    if text:
        assert prompt_tokens(tokenizer, text, None, len(tokens)) == tokens
        with pytest.raises(PromptTooLongError):
            prompt_tokens(tokenizer, text, None, len(tokens) - 1)
    messages = [{"role": "user", "content": text}]
    rendered = prompt_tokens(tokenizer, None, messages, 1000)
    assert prompt_tokens(tokenizer, None, messages, len(rendered)) == rendered
    with pytest.raises(PromptTooLongError):
        prompt_tokens(tokenizer, None, messages, len(rendered) - 1)


@pytest.mark.parametrize("chat", [False, True])
def test_what_can_never_fit_is_refused_before_it_is_split(
    tokenizer: RustBPETokenizer, monkeypatch: pytest.MonkeyPatch, chat: bool
) -> None:
    text = "é" * 1_000_000
    least = 2_000_000 // tokenizer.longest_token
    monkeypatch.setattr(tokenizer, "enc", None)
    with pytest.raises(PromptTooLongError, match=f"at least {least:,} tokens"):
        prompt_tokens(tokenizer, None if chat else text, [{"role": "user", "content": text}] if chat else None, 2560)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [("", "The prompt is empty"), (5, "The prompt is 5 and must be text"), (["a"], r"is \['a'\] and must be text")],
)
def test_a_prompt_that_is_empty_is_told_from_one_that_is_no_text(
    tokenizer: RustBPETokenizer, prompt: Any, message: str
) -> None:
    with pytest.raises(PromptInvalidError, match=message):
        prompt_tokens(tokenizer, prompt, None, 100)
