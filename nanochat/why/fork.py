"""A text forked at a position: all before it as it is, another token in its place, and on from there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nanochat.capture.request import Start
from nanochat.errors import SettingInvalidError
from nanochat.generation_settings import GenerationSettings
from nanochat.gpt_config import GPTConfig
from nanochat.tokenizer import RustBPETokenizer
from nanochat.why.checks import checked_one
from nanochat.why.rerun import Rerun
from nanochat.why.tokens import token_of, tokens_of


def fork_of(
    again: Rerun, position: int, put: Sequence[int], tokenizer: RustBPETokenizer, max_tokens: int | None = None
) -> tuple[Start, GenerationSettings]:
    """What a fork goes on from, and with which settings.

    What comes before the position is kept token by token. In the generated part it is written again, so that what
    follows is computed as the trace's own was, and drawn by the random numbers of its position: a fork that puts the
    token there that is there already repeats the trace. A fork of the prompt has a prompt of its own, which ends with
    what was put there.

    Args:
        again: how the trace was made.
        position: from 1 on; position 0 is `<|bos|>`.
        put: the tokens to put there.
        max_tokens: how many to write after them at most; None: as many as the trace had left.

    Raises:
        SettingInvalidError: there is no such position.
    """
    tokens, start = again.tokens, again.start
    check_position(position, len(tokens.all))
    kept, length = [*tokens.all[:position], *put], len(tokens.prompt)
    forced = [at for at in start.forced if at < position] + list(range(position, len(kept)))
    if position < length:
        same = kept == tokens.prompt
        prompt = start.prompt if same else tokenizer.decode(kept[1:])
        messages = start.messages if same else None
        start = replace(start, tokens=kept, prompt=prompt, messages=messages, given=[])
    else:
        start = replace(start, given=kept[length:])
    given = len(start.given)
    wanted = max(again.settings.max_tokens, given) if max_tokens is None else given + max_tokens
    return replace(start, position=position, forced=forced), replace(again.settings, max_tokens=wanted)


def check_position(position: int, count: int) -> None:
    """Raise SettingInvalidError where a text of so many tokens has no such position, or it is the first."""
    if isinstance(position, bool) or not isinstance(position, int):
        raise SettingInvalidError(f"position {position!r}: give a whole number.")
    if count <= 1:
        raise SettingInvalidError("The trace has no token but the first: there is nothing to fork.")
    if not 1 <= position < count:
        raise SettingInvalidError(f"There is no position {position} to fork at: there are 1 to {count - 1}.")


def put_tokens(tokenizer: RustBPETokenizer, config: GPTConfig, token: int | str | None, text: str | None) -> list[int]:
    """The tokens to put somewhere: one, by its number or its text, or those of a text.

    Raises:
        SettingInvalidError: not exactly one of the two, no token, or none that the model has.
    """
    if (token is None) == (text is None):
        raise SettingInvalidError("Say what to put there: either a token or a text.")
    if text is not None:
        return tokens_of(tokenizer, text)
    assert token is not None
    return [checked_one("token", token_of(tokenizer, token), min(config.vocab_size, tokenizer.get_vocab_size()))]
