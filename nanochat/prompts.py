"""A prompt or a chat as the token ids that the model is to go on from."""

import json
from typing import Any

from nanochat.errors import PromptInvalidError, too_long_error
from nanochat.generation_settings import check_unicode
from nanochat.tokenizer import RustBPETokenizer


def prompt_tokens(
    tokenizer: RustBPETokenizer, prompt: str | None, messages: list[dict[str, Any]] | None, positions: int
) -> list[int]:
    """The token ids of either; the first is `<|bos|>`.

    Args:
        tokenizer: the model's.
        prompt: plain text.
        messages: [{"role", "content"}, ...], ending with the user's.
        positions: how many the model has.

    Raises:
        PromptInvalidError, PromptTooLongError: not one of the two, of another form, or more than fits.
    """
    if (prompt is None) == (messages is None):
        raise PromptInvalidError("Give either a prompt or messages.")
    tokens = _of_text(tokenizer, prompt, positions) if messages is None else _of_chat(tokenizer, messages, positions)
    if len(tokens) > positions:
        raise too_long_error(f"{len(tokens):,}", positions)
    return tokens


def _of_text(tokenizer: RustBPETokenizer, prompt: Any, positions: int) -> list[int]:
    if not isinstance(prompt, str):
        raise PromptInvalidError(f"The prompt is {prompt!r:.80} and must be text: put it in quotes, or send messages.")
    if not prompt:
        raise PromptInvalidError("The prompt is empty: give the text that the model is to go on from.")
    check_unicode(prompt)
    _check_length(tokenizer, [prompt], positions)
    return tokenizer.encode(prompt, prepend=tokenizer.get_bos_token_id())


def _of_chat(tokenizer: RustBPETokenizer, messages: list[dict[str, Any]], positions: int) -> list[int]:
    check_unicode(json.dumps(messages, ensure_ascii=False, default=repr))
    contents = (message.get("content") for message in messages if isinstance(message, dict))
    _check_length(tokenizer, [content for content in contents if isinstance(content, str)], positions)
    ids, _ = tokenizer.render_conversation({"messages": messages}, max_tokens=1 << 31)
    if messages[-1].get("role") != "user":
        raise PromptInvalidError("The last message must be the user's: the model writes the assistant's.")
    return [*ids, tokenizer.encode_special("<|assistant_start|>")]


def _check_length(tokenizer: RustBPETokenizer, texts: list[str], positions: int) -> None:
    """Refuse what cannot fit however it is split: splitting 16 MB takes seconds, in which nothing can be cancelled."""
    fewest = sum(len(text.encode()) for text in texts) // tokenizer.longest_token
    if fewest > positions:
        raise too_long_error(f"at least {fewest:,}", positions)
