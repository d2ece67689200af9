"""Text and the bytes outside: the words of a command line, standard input, JSON on an output of any encoding."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import IO

ADVICE = "write it in UTF-8; `iconv -f latin1 -t utf-8` turns Latin-1 into it."


def is_text(text: str) -> bool:
    """Whether UTF-8 can hold it; bytes that are no text come from the system as lone surrogates, which it cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def spelled_out(text: str) -> str:
    r"""The text with lone surrogates spelled out, as the bytes that they stand for (\xe9) where they do."""
    return "".join(character if is_text(character) else _spelled(ord(character)) for character in text)


def _spelled(surrogate: int) -> str:
    return f"\\x{surrogate - 0xDC00:02x}" if 0xDC80 <= surrogate <= 0xDCFF else f"\\u{surrogate:04x}"


def words_as_text(words: Sequence[str]) -> list[str]:
    """The words of a command line, those in UTF-8 also where the locale is another.

    Raises:
        ValueError: one is no text; the message is for a person.
    """
    return [word if is_text(word) else _decoded(word) for word in words]


def _decoded(word: str) -> str:
    try:
        return os.fsencode(word).decode()
    except UnicodeError:
        raise ValueError(f"'{spelled_out(word)}' is not UTF-8: {ADVICE}") from None


def read_text(stream: IO[str] | None) -> str:
    """All of standard input.

    Raises:
        ValueError: it is closed, or no text in its encoding; the message is for a person.
    """
    if stream is None:
        raise ValueError("stdin is closed: give it something to read.")
    content, encoding = stream.buffer.read(), stream.encoding  # type: ignore[attr-defined]
    try:
        return content.decode("utf-8" if encoding.lower() == "ascii" else encoding).replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        byte = f"byte 0x{content[error.start]:02x} at {error.start}"
        raise ValueError(f"stdin is not {error.encoding.upper()} ({byte}): {ADVICE}") from None


def json_for(stream: IO[str], text: str) -> str:
    r"""JSON as it may go to an output: all but ASCII as \u escapes where that is not in UTF-8, as JSON must be."""
    if (getattr(stream, "encoding", None) or "utf-8").lower().replace("_", "-") in ("utf-8", "utf8"):
        return text
    return re.sub(r"[^\x00-\x7f]", _escape, text)


def _escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be")  # two of them for what lies beyond the first 65,536 characters
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
