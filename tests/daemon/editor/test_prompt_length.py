"""Prompts that are longer than the model's context."""

import pytest

from daemon.editor.prompt_length import PLAIN, too_long
from daemon.editor.prompt_parser import Prompt
from nanochat.checkpoint_manager import load_model

POSITIONS = 50


@pytest.fixture(scope="module")
def tokenizer():
    return load_model("demo", "cpu", "eval")[1]


@pytest.mark.parametrize("words", [60, 200_000])
def test_the_place_and_the_count_are_those_of_the_whole_text(tokenizer, words, monkeypatch):
    prompt = Prompt(0, 0, ("is " * words,), (0,))
    tokens = tokenizer.encode(prompt.text)
    kept = tokenizer.decode(tokens[: POSITIONS - PLAIN])
    split = []
    encode = type(tokenizer).encode
    monkeypatch.setattr(type(tokenizer), "encode", lambda self, text: split.append(len(text)) or encode(self, text))
    ((found, offset, message),) = too_long([prompt], tokenizer, POSITIONS)
    assert (found, offset) == (prompt, len(kept))
    assert (f"{len(tokens) + PLAIN:,} tokens" in message) == (words == 60)
    assert ("at least" in message) == (words > 60)
    assert split[0] <= POSITIONS * tokenizer.longest_token  # not megabytes, after every edit
