"""Text to token ids and back, and chat rendering."""

from __future__ import annotations

import base64
import json
import pickle
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import tiktoken

from nanochat.checkpoints.recognising import nearest_tokenizer
from nanochat.errors import PromptInvalidError, TokenizerInvalidError
from nanochat.tokenizer_files import (
    PICKLE_NAME,
    SPECIAL_TOKENS,
    TEXT_NAME,
    encoding_from_state,
    panics_as,
    read_pickled_state,
    read_text_state,
)

# GPT-4's split pattern with numbers in groups of at most two digits, as nanochat trains its tokenizers.
SPLIT_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)


class RustBPETokenizer:
    """A byte-pair tokenizer: trained by rustbpe, run by tiktoken."""

    def __init__(self, enc: tiktoken.Encoding, bos_token: str):
        self.enc = enc
        self.bos_token_id = self.encode_special(bos_token)

    @classmethod
    def train_from_iterator(cls, text_iterator: Iterable[str], vocab_size: int) -> RustBPETokenizer:
        """Train on texts; `vocab_size` counts the special tokens. Needs the extra `train`."""
        import rustbpe  # heavy for readers of checkpoints, and only training needs it

        ordinary = vocab_size - len(SPECIAL_TOKENS)
        if ordinary < 256:
            raise ValueError(f"vocab_size must be at least {256 + len(SPECIAL_TOKENS)}, to hold every byte")
        trainer = rustbpe.Tokenizer()  # pyright: ignore[reportAttributeAccessIssue]
        trainer.train_from_iterator(text_iterator, ordinary, pattern=SPLIT_PATTERN)
        ranks = {bytes(token): rank for token, rank in trainer.get_mergeable_ranks()}
        special = {name: len(ranks) + i for i, name in enumerate(SPECIAL_TOKENS)}
        enc = tiktoken.Encoding("rustbpe", pat_str=SPLIT_PATTERN, mergeable_ranks=ranks, special_tokens=special)
        return cls(enc, "<|bos|>")

    @classmethod
    def from_directory(cls, tokenizer_dir: str | Path) -> RustBPETokenizer:
        """Read `tokenizer.pkl`, or `tokenizer.json` as `save_text` writes it.

        Raises:
            TokenizerInvalidError: none there, or one that is damaged or holds anything but a tokenizer.
        """
        folder = Path(tokenizer_dir)
        try:
            path, _ = nearest_tokenizer([folder])
        except OSError as error:
            raise TokenizerInvalidError(
                f"The tokenizer in {folder} cannot be read ({error}): make it readable."
            ) from error
        if path is None:
            raise TokenizerInvalidError(
                f"There is no {PICKLE_NAME} in {folder}: copy the tokenizer the model was trained with."
            )
        read = read_pickled_state if path.name == PICKLE_NAME else read_text_state
        return cls(encoding_from_state(read(path), path), "<|bos|>")

    def save(self, tokenizer_dir: str | Path) -> None:
        """Write `tokenizer.pkl`, which nanochat reads too."""
        Path(tokenizer_dir).mkdir(parents=True, exist_ok=True)
        (Path(tokenizer_dir) / PICKLE_NAME).write_bytes(pickle.dumps(self.enc))

    def save_text(self, tokenizer_dir: str | Path) -> None:
        """Write `tokenizer.json`: tokens in base64, in the order of their ranks."""
        ranks = sorted(self.enc._mergeable_ranks, key=self.enc._mergeable_ranks.__getitem__)
        state = {
            "name": self.enc.name,
            "pat_str": self.enc._pat_str,
            "special_tokens": self.enc._special_tokens,
            "mergeable_ranks": [base64.b64encode(token).decode() for token in ranks],
        }
        (Path(tokenizer_dir) / TEXT_NAME).write_text(json.dumps(state, indent=0) + "\n", encoding="utf-8")

    def get_vocab_size(self) -> int:
        """Ordinary and special tokens."""
        return self.enc.n_vocab

    @cached_property
    def longest_token(self) -> int:
        """Bytes of the longest ordinary token."""
        return max(map(len, self.enc.token_byte_values()))

    def get_special_tokens(self) -> set[str]:
        """The special tokens' names."""
        return self.enc.special_tokens_set

    def id_to_token(self, id: int) -> str:
        """One token's text; bytes that are no whole character become U+FFFD."""
        return self.enc.decode([id])

    def token_text(self, id: int) -> str:
        r"""One token's text; bytes that are not UTF-8 are shown as \xNN, so that nothing is lost."""
        return self.enc.decode_single_token_bytes(id).decode("utf-8", errors="backslashreplace")

    @lru_cache(maxsize=32)  # noqa: B019 - a process holds a handful of tokenizers
    def encode_special(self, text: str) -> int:
        """A special token's id."""
        return self.enc.encode_single_token(text)

    def get_bos_token_id(self) -> int:
        """The id of the token that begins a document."""
        return self.bos_token_id

    def encode(
        self,
        text: str | list[str],
        prepend: int | str | None = None,
        append: int | str | None = None,
        num_threads: int = 8,
    ) -> Any:
        """Token ids of a text, or of each text of a list; special tokens in the text are ordinary characters.

        Args:
            text: one text or several.
            prepend, append: a token id or a special token's name to put around each.
            num_threads: for several texts.

        Returns:
            list[int], or a list of them.

        Raises:
            PromptInvalidError: tiktoken cannot split the text, as happens with a million blanks in a row.
        """
        if not isinstance(text, str | list):
            raise ValueError(f"expected a text or a list of texts, not {type(text).__name__}")
        before, after = self._special_ids(prepend), self._special_ids(append)
        with panics_as(PromptInvalidError, "The text cannot be split into tokens; shorten its runs of blanks"):
            if isinstance(text, str):
                return before + self.enc.encode_ordinary(text) + after
            return [before + ids + after for ids in self.enc.encode_ordinary_batch(text, num_threads=num_threads)]

    def _special_ids(self, token: int | str | None) -> list[int]:
        if token is None:
            return []
        return [token if isinstance(token, int) else self.encode_special(token)]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.encode(*args, **kwargs)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids; bytes that are not UTF-8 become U+FFFD."""
        return self.enc.decode(list(ids))

    def decode_single_token_bytes(self, token_id: int) -> bytes:
        """One token's bytes."""
        return self.enc.decode_single_token_bytes(token_id)

    def render_conversation(self, conversation: dict[str, Any], max_tokens: int = 2048) -> tuple[list[int], list[int]]:
        """Token ids of a chat, and a mask that is 1 where the assistant is trained.

        Args:
            conversation: {"messages": [{"role", "content"}, ...]}: user and assistant in turn, a system message may
                come first and is merged into the user's. An assistant's content may be parts of type text, python and
                python_output.
            max_tokens: longer renderings are cut.

        Raises:
            PromptInvalidError: roles out of turn, or content of another form.
        """
        rendered: list[tuple[int, int]] = [(self.bos_token_id, 0)]
        for i, message in enumerate(_merged_system_message(_messages_of(conversation))):
            role = "user" if i % 2 == 0 else "assistant"
            if message.get("role") != role:
                raise PromptInvalidError(f"Message {i} is from {message.get('role')!r} and should be from {role!r}.")
            start, end = self.encode_special(f"<|{role}_start|>"), self.encode_special(f"<|{role}_end|>")
            rendered.append((start, 0))
            rendered.extend(self._render_content(message.get("content"), role))
            rendered.append((end, int(role == "assistant")))
        rendered = rendered[:max_tokens]
        return [token for token, _ in rendered], [trained for _, trained in rendered]

    def _render_content(self, content: Any, role: str) -> list[tuple[int, int]]:
        if isinstance(content, str):
            return [(token, int(role == "assistant")) for token in self.encode(content)]
        if role == "user" or not isinstance(content, list):
            raise PromptInvalidError(f"The content of a {role} message must be text, not {type(content).__name__}.")
        rendered = []
        for part in content:
            texts = isinstance(part, dict) and all(isinstance(part.get(key), str) for key in ("type", "text"))
            if not texts or part["type"] not in PARTS:
                raise PromptInvalidError(
                    f"A part of an assistant message needs a text and a type of {', '.join(PARTS)}."
                )
            delimiter, trained = PARTS[part["type"]]
            ids = self.encode(part["text"])
            if delimiter:
                around = (self.encode_special(f"<|{delimiter}_{end}|>") for end in ("start", "end"))
                ids = [next(around), *ids, next(around)]
            rendered += [(token, trained) for token in ids]
        return rendered

    def render_for_completion(self, conversation: dict[str, Any]) -> list[int]:
        """Token ids of a chat whose last, assistant's, message is left for the model to write."""
        messages = _messages_of(conversation)
        if messages[-1].get("role") != "assistant":
            raise PromptInvalidError("The last message must be the assistant's: it is what the model is to write.")
        ids, _ = self.render_conversation({"messages": messages[:-1]})
        return [*ids, self.encode_special("<|assistant_start|>")]

    def visualize_tokenization(self, ids: list[int], mask: list[int], with_token_id: bool = False) -> str:
        """The tokens of a rendered chat, separated by bars: green where the mask is 1, red elsewhere."""
        red, green, grey, reset = "\033[91m", "\033[92m", "\033[90m", "\033[0m"
        shown = []
        for token, trained in zip(ids, mask, strict=True):
            shown.append(f"{green if trained else red}{self.decode([token])}{reset}")
            if with_token_id:
                shown.append(f"{grey}({token}){reset}")
        return "|".join(shown)


# Part type of an assistant's message: its special tokens' name, and whether the assistant is trained on it.
PARTS: dict[str, tuple[str | None, int]] = {"text": (None, 1), "python": ("python", 1), "python_output": ("output", 0)}


def _messages_of(conversation: Any) -> list[dict[str, Any]]:
    messages = conversation.get("messages") if isinstance(conversation, dict) else None
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise PromptInvalidError('messages must be a list of at least one {"role": ..., "content": ...}.')
    return messages


def _merged_system_message(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if messages[0].get("role") != "system":
        return messages
    if len(messages) < 2 or messages[1].get("role") != "user":
        raise PromptInvalidError("A system message must be followed by a user message.")
    system, first = messages[0].get("content"), messages[1].get("content")
    if not isinstance(system, str) or not isinstance(first, str):
        raise PromptInvalidError("The content of a system message and of the user's after it must be text.")
    return [messages[1] | {"content": f"{system}\n\n{first}"}, *messages[2:]]
