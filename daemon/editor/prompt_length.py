"""Which prompts are longer than the model's context, and from which character on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from daemon.editor.front_matter import MOST_PROBLEMS
from daemon.editor.prompt_parser import Prompt
from nanochat.errors import PromptInvalidError, too_long_error

if TYPE_CHECKING:
    from nanochat.tokenizer import RustBPETokenizer

PLAIN, CHAT = 1, 4  # tokens around a prompt: <|bos|>; and <|user_start|>, <|user_end|>, <|assistant_start|>


def too_long(prompts: Sequence[Prompt], tokenizer: RustBPETokenizer, positions: int) -> list[tuple[Prompt, int, str]]:
    """The prompts that the model cannot take, the character from which on, and why; only long ones are counted."""
    found = []
    for prompt in prompts:
        if len(found) == MOST_PROBLEMS:
            break
        room = positions - (CHAT if prompt.chat else PLAIN)
        data = prompt.text.encode()
        if len(data) <= room:  # a token has at least one byte
            continue
        try:
            # enough to know by: splitting a text of megabytes into tokens takes seconds, after each edit
            head = prompt.text[: (room + 1) * tokenizer.longest_token]
            tokens = tokenizer.encode(head)
        except PromptInvalidError as error:
            found.append((prompt, 0, str(error)))
            continue
        if len(tokens) > room:
            kept = sum(len(tokenizer.decode_single_token_bytes(token)) for token in tokens[:room])
            least = "at least " if len(head) < len(prompt.text) else ""
            error = too_long_error(f"{least}{len(tokens) + positions - room:,}", positions)
            found.append((prompt, len(data[:kept].decode(errors="ignore")), str(error)))
    return found
