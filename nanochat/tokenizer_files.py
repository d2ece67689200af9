"""Tokenizers on disk: reading one as data, with nothing in it run, and making an Encoding of it."""

from __future__ import annotations

import base64
import io
import json
import pickle
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tiktoken

from nanochat.checkpoints.file_kind import JSON, PICKLE, what_it_is
from nanochat.checkpoints.recognising import other_tokenizer
from nanochat.errors import NanoscopeError, TokenizerInvalidError

SPECIAL_TOKENS = [
    "<|bos|>",  # begins every document
    "<|user_start|>",
    "<|user_end|>",
    "<|assistant_start|>",
    "<|assistant_end|>",
    "<|python_start|>",  # the assistant calls the calculator
    "<|python_end|>",
    "<|output_start|>",  # what the calculator answered
    "<|output_end|>",
]
MAX_FILE_BYTES = 16 << 20  # ten times the largest nanochat tokenizer
TRIAL_TEXT = "Hello, world's 1234!\r\n\n\tnaïve Привет 漢字 🙂  __init__ "
# GPT-4's pattern with numbers in groups of two digits, as nanochat has it, and of three, as it is: known to be linear.
_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,%d}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)
KNOWN_PATTERNS = tuple(_PATTERN % digits for digits in (2, 3))
LONGEST_PATTERN = 2000  # characters
SLOW_SECONDS = 0.05  # for 16,384 characters, which take a tenth of it
PICKLE_NAME, TEXT_NAME = "tokenizer.pkl", "tokenizer.json"


@contextmanager
def panics_as(error: type[NanoscopeError], message: str) -> Iterator[None]:
    """Make an error of tiktoken's panics, which are no Exceptions and would end a program that catches those."""
    try:
        yield
    except BaseException as panic:
        if type(panic).__name__ != "PanicException":
            raise
        raise error(f"{message}. ({panic})") from panic


TOKENIZER_OPCODES = (
    *(pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.NEWOBJ, pickle.BUILD),
    *(pickle.MEMOIZE, pickle.BINPUT, pickle.LONG_BINPUT, pickle.BINGET, pickle.LONG_BINGET),
    *(pickle.EMPTY_TUPLE, pickle.EMPTY_DICT, pickle.MARK, pickle.SETITEM, pickle.SETITEMS),
    *(pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.SHORT_BINBYTES, pickle.BINBYTES),
    *(pickle.SHORT_BINUNICODE, pickle.BINUNICODE),
)


class _PickledEncoding:
    """Stands in for tiktoken's Encoding while unpickling: holds the state, runs nothing."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Opcodes(dict[int, Any]):
    def __missing__(self, code: int) -> Any:
        raise pickle.UnpicklingError(f"it holds the opcode {bytes([code])!r}, which no tokenizer needs")


class _TokenizerUnpickler(pickle._Unpickler):
    """Admits tiktoken's Encoding, as a stand-in, and dicts of texts, bytes and numbers.

    pickle's Python version: its C one reserves gigabytes where ten bytes of a pickle ask for it. Without tuples,
    lists and calls there is also nothing that could nest or take long.
    """

    dispatch = _Opcodes({code[0]: pickle._Unpickler.dispatch[code[0]] for code in TOKENIZER_OPCODES})

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("tiktoken.core", "Encoding"):
            return _PickledEncoding
        raise pickle.UnpicklingError(f"it refers to {module}.{name}")


def read_pickled_state(path: Path) -> Any:
    """The state inside a pickled tiktoken Encoding, with nothing in the file run.

    Raises:
        TokenizerInvalidError: not such a pickle.
    """
    content = _read(path)
    try:
        loaded = _TokenizerUnpickler(io.BytesIO(content)).load()
    except Exception as error:  # a damaged pickle may raise nearly anything
        if found := what_it_is(path, PICKLE):
            raise TokenizerInvalidError(
                f"{path} is not a nanochat tokenizer (it is {found}); nothing in it was run."
            ) from error
        raise TokenizerInvalidError(
            f"{path} is not a nanochat tokenizer ({str(error) or type(error).__name__}); nothing in it was run. Copy "
            "the file again from its source."
        ) from error
    return loaded.state if isinstance(loaded, _PickledEncoding) else None


def read_text_state(path: Path) -> Any:
    """The state that `save_text` wrote."""
    content = _read(path)
    try:
        state = json.loads(content)
        tokens = (base64.b64decode(token, validate=True) for token in state["mergeable_ranks"])
        return state | {"mergeable_ranks": {token: rank for rank, token in enumerate(tokens)}}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if found := what_it_is(path, JSON):
            raise TokenizerInvalidError(f"{path} is not a tokenizer as nanoscope writes it: it is {found}.") from error
        if other := other_tokenizer(path):
            raise TokenizerInvalidError(
                f"{path} is not a tokenizer as nanoscope writes it: it is {other}. Copy the {PICKLE_NAME} that the "
                "model was trained with beside the weights."
            ) from error
        raise TokenizerInvalidError(f"{path} is not a tokenizer as nanoscope writes it: {error!r}.") from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        found = what_it_is(path, PICKLE)
        reason = f"it is {found}" if found else error.strerror or error
        raise TokenizerInvalidError(f"{path} cannot be read: {reason}.") from error
    if len(content) > MAX_FILE_BYTES:
        raise TokenizerInvalidError(
            f"{path} is larger than any tokenizer, which have at most {MAX_FILE_BYTES:,} bytes."
        )
    return content


def encoding_from_state(state: Any, path: Path) -> tiktoken.Encoding:
    """An Encoding from checked, plain data.

    Raises:
        TokenizerInvalidError: a field is missing or of the wrong type, or tokens are missing.
    """
    problem = _state_problem(state)
    if problem:
        raise TokenizerInvalidError(f"{path} is not a usable tokenizer: {problem}.")
    ranks, special = dict(state["mergeable_ranks"]), dict(state["special_tokens"])
    try:
        with panics_as(TokenizerInvalidError, f"{path} is not a usable tokenizer: its pattern fails"):
            enc = tiktoken.Encoding(
                state["name"], pat_str=state["pat_str"], mergeable_ranks=ranks, special_tokens=special
            )
            kept = enc.decode(enc.encode_ordinary(TRIAL_TEXT))
    except (ValueError, KeyError) as error:
        raise TokenizerInvalidError(f"{path} is not a usable tokenizer: {error}.") from error
    _check_speed(enc, path)
    if kept != TRIAL_TEXT:
        raise TokenizerInvalidError(
            f"{path} is not a usable tokenizer: its pattern loses text, {TRIAL_TEXT!r} became {kept!r}."
        )
    return enc


def _check_speed(enc: tiktoken.Encoding, path: Path) -> None:
    """Refuse a pattern that takes more than linear time: long prompts could keep a thread busy for hours with it."""
    if len(enc._pat_str) > LONGEST_PATTERN:
        raise TokenizerInvalidError(
            f"{path} is not a usable tokenizer: its pattern has over {LONGEST_PATTERN} letters."
        )
    if enc._pat_str in KNOWN_PATTERNS:
        return
    for character in sorted({*enc._pat_str[:100], *" \n\tax1!'\u00e9"}):
        for size in (64, 1024, 16384):
            text = character * size + "\0"
            if all(_seconds(enc, text, path) > SLOW_SECONDS for _ in range(3)):
                raise TokenizerInvalidError(
                    f"{path} is not a usable tokenizer: its pattern takes too long for {size} times {character!r}."
                )


def _seconds(enc: tiktoken.Encoding, text: str, path: Path) -> float:
    begun = time.thread_time()  # other programs do not count
    with panics_as(TokenizerInvalidError, f"{path} is not a usable tokenizer: its pattern fails"):
        enc.encode_ordinary(text)
    return time.thread_time() - begun


def _state_problem(state: Any) -> str | None:
    if not isinstance(state, dict):
        return "it holds no state of an Encoding"
    for key, kind in (("name", str), ("pat_str", str), ("mergeable_ranks", dict), ("special_tokens", dict)):
        if not isinstance(state.get(key), kind):
            return f"its {key} is not a {kind.__name__}"
    ranks, special = state["mergeable_ranks"], state["special_tokens"]
    if not all(type(token) is bytes and type(rank) is int for token, rank in ranks.items()):
        return "its mergeable_ranks are not bytes and ranks"
    if not all(type(token) is str and type(rank) is int for token, rank in special.items()):
        return "its special_tokens are not names and ids"
    if sorted([*ranks.values(), *special.values()]) != list(range(len(ranks) + len(special))):
        return "its token ids are not 0 to n-1, each once"
    missing = [name for name in SPECIAL_TOKENS if name not in special]
    if missing:
        return f"the special token {missing[0]} is missing"
    if any(bytes([value]) not in ranks for value in range(256)):
        return "it cannot encode every byte"
    return None
